package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"vaultik/backends"
)

// chooseSource finds where the key comes from, and the region given there, "" for none.
// A nil source is anonymous: only if that was asked for.
func chooseSource(c backends.S3Credentials, log func(string, ...any)) (source, string, error) {
	region := os.Getenv("AWS_REGION")
	if region == "" {
		region = os.Getenv("AWS_DEFAULT_REGION")
	}
	switch c.Source {
	case "":
		return chooseFound(c, region, log)
	case "env":
		return envSource{}, region, nil
	case "file":
		if c.Path == "" {
			return nil, "", errors.New("credentials from a file need its name (s3: credentials: path:)")
		}
		return &fileSource{path: c.Path, log: log}, region, nil
	case "profile":
		p, err := findProfile(c)
		if err != nil {
			return nil, "", err
		}
		if region == "" {
			region = p.region()
		}
		return p, region, nil
	case "command":
		if len(c.Command) == 0 {
			return nil, "", errors.New("credentials from a command need one (s3: credentials: command:)")
		}
		return &commandSource{command: c.Command, shown: "command " + c.Command[0]}, region, nil
	case "iam":
		return newIAM(), region, nil
	case "anonymous":
		return nil, region, nil
	}
	return nil, "", errors.New("the source of credentials must be env, file, profile, command, iam or anonymous")
}

// chooseFound takes the first that there is: the environment, a profile, a role.
func chooseFound(c backends.S3Credentials, region string, log func(string, ...any)) (source, string, error) {
	switch {
	case c.Profile != "":
		c.Source = "profile"
		return chooseSource(c, log)
	case c.Path != "" || len(c.Command) > 0:
		return nil, "", errors.New("credentials have a path or a command, but no source (s3: credentials: source: file, profile or command)")
	case os.Getenv(envID) != "":
		return envSource{}, region, nil
	}
	p, err := findProfile(c)
	if err != nil {
		return nil, "", err
	}
	if exists := p.exists(); exists || os.Getenv("AWS_PROFILE") != "" {
		if region == "" {
			region = p.region()
		}
		return p, region, nil
	}
	if region == "" {
		region = p.region()
	}
	return &foundSource{newIAM(), p.credentials}, region, nil
}

// foundSource is the role that is tried when nothing else was found; its error says so
// if there is no role either.
type foundSource struct {
	source
	file string
}

func (f *foundSource) load(ctx context.Context, n need) (*grant, error) {
	g, err := f.source.load(ctx, n)
	if err != nil && ctx.Err() == nil {
		return nil, &credentialError{err: backends.WithKind(backends.ErrAuth, fmt.Errorf(
			"%w: %s is not set, %s has no key, and asking for %w", errNoCredentials, envID, f.file, err))}
	}
	return g, err
}

// fileSource is a file of two lines, the id and the secret. A third may be a
// session token. Empty lines and those that begin with # do not count.
type fileSource struct {
	path string
	log  func(string, ...any)
}

func (f *fileSource) name() string { return f.path }

func (f *fileSource) load(_ context.Context, n need) (g *grant, err error) {
	err = withScratch(func(page []byte) error {
		text, rest, err := readSecret(f.path, page)
		if err != nil {
			return err
		}
		g, err = fileGrant(text, rest, n)
		return err
	})
	if err != nil {
		return nil, &credentialError{err: backends.WithKind(backends.ErrAuth, fmt.Errorf("credentials file: %w", err))}
	}
	f.warn()
	return g, nil
}

// warn tells of a secret that others may read.
func (f *fileSource) warn() {
	if st, err := os.Stat(f.path); err == nil && st.Mode().IsRegular() && st.Mode().Perm()&0o077 != 0 {
		f.log("other users may read the credentials file "+f.path, "hint", "chmod 600 "+f.path)
	}
}

// byteOrderMark is what editors of Windows put before UTF-8.
var byteOrderMark = []byte("\xef\xbb\xbf")

func fileGrant(text, scratch []byte, n need) (*grant, error) {
	var lines [][]byte
	for line := range bytes.Lines(bytes.TrimPrefix(text, byteOrderMark)) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' && line[0] != ';' {
			lines = append(lines, line)
		}
	}
	switch {
	case len(lines) > 0 && lines[0][0] == '[':
		return nil, errors.New("it has sections: this is a file of profiles (credentials=profile), not one of two lines")
	case len(lines) < 2 || len(lines) > 3:
		return nil, fmt.Errorf("it has %d lines, not two: key id and secret", len(lines))
	}
	g := newGrant(lines[1], scratch, n, 1)
	g.id, g.again = string(lines[0]), true
	if len(lines) == 3 {
		g.token = string(lines[2])
	}
	return g, checkID(g.id)
}

// checkID refuses what cannot be an id, most likely because the lines are swapped:
// an id is sent in the clear.
func checkID(id string) error {
	if id == "" {
		return errors.New("the access key id is empty")
	}
	for _, c := range id {
		if c <= ' ' || c > '~' || strings.ContainsRune(`/,="`, c) {
			return errors.New("the access key id has an invalid character; are id and secret swapped?")
		}
	}
	return nil
}

// readSecret reads a whole file into page and returns it, and what is left of page.
func readSecret(path string, page []byte) (text, rest []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = f.Close() }()
	return readAll(f, page)
}

// readAll reads to the end of a file or pipe, leaving room for hmacScratch.
func readAll(r *os.File, page []byte) (text, rest []byte, err error) {
	n, room := 0, len(page)-hmacScratch
	for n < room {
		m, err := r.Read(page[n:room])
		n += m
		if errors.Is(err, io.EOF) {
			return page[:n], page[n:], nil
		}
		if err != nil {
			return nil, nil, err
		}
	}
	return nil, nil, fmt.Errorf("%s has more than %d bytes", filepath.Base(r.Name()), room)
}

// missing reports whether err says that a file is not there.
func missing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
