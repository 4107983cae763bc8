package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"vaultik/backends"
)

// profileSource is a profile of the files that all of Amazon's tools share.
type profileSource struct {
	profile     string
	credentials string // file of keys: [name]
	config      string // file of settings, which may hold keys too: [profile name]
}

func findProfile(c backends.S3Credentials) (*profileSource, error) {
	p := &profileSource{profile: c.Profile, credentials: c.Path}
	if p.profile == "" {
		p.profile = os.Getenv("AWS_PROFILE")
	}
	if p.profile == "" {
		p.profile = "default"
	}
	if p.credentials == "" {
		p.credentials = os.Getenv("AWS_SHARED_CREDENTIALS_FILE")
	}
	p.config = os.Getenv("AWS_CONFIG_FILE")
	if p.credentials != "" && p.config != "" {
		return p, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return nil, fmt.Errorf("find the profiles: %w", err)
	}
	if p.credentials == "" {
		p.credentials = filepath.Join(home, ".aws", "credentials")
	}
	if p.config == "" {
		p.config = filepath.Join(home, ".aws", "config")
	}
	return p, nil
}

func (p *profileSource) name() string { return "profile " + p.profile }

// fields are the values of a profile. Those of secrets lie in a scratch page.
type fields map[string][]byte

const (
	fieldID      = "aws_access_key_id"
	fieldSecret  = "aws_secret_access_key"
	fieldToken   = "aws_session_token"
	fieldProcess = "credential_process"
	fieldRegion  = "region"
)

// read collects the profile from both files and hands it to fn with what is left
// of the page. A file that is missing has no profiles.
func (p *profileSource) read(fn func(found fields, rest []byte) error) error {
	return withScratch(func(page []byte) error {
		found := fields{}
		for _, file := range []struct{ path, section string }{{p.credentials, p.profile}, {p.config, p.configSection()}} {
			text, rest, err := readSecret(file.path, page)
			if missing(err) {
				continue
			}
			if err != nil {
				return err
			}
			collect(found, text, file.section)
			page = rest
		}
		return fn(found, page)
	})
}

func (p *profileSource) configSection() string {
	if p.profile == "default" {
		return p.profile
	}
	return "profile " + p.profile
}

// collect takes the lines of one section, as far as they are new. Indented lines
// are of nested settings, which say nothing here.
func collect(found fields, text []byte, section string) {
	inside := false
	for line := range bytes.Lines(bytes.TrimPrefix(text, byteOrderMark)) {
		line = bytes.TrimRight(line, " \t\r\n")
		if len(line) == 0 || line[0] == '#' || line[0] == ';' || line[0] == ' ' || line[0] == '\t' {
			continue
		}
		if line[0] == '[' {
			name, _, _ := bytes.Cut(line[1:], []byte("]"))
			inside = strings.Join(strings.Fields(string(name)), " ") == section
			continue
		}
		key, value, ok := bytes.Cut(line, []byte("="))
		if name := strings.ToLower(string(bytes.TrimSpace(key))); inside && ok && found[name] == nil {
			found[name] = bytes.TrimSpace(value)
		}
	}
}

// exists reports whether the profile says how to get a key.
func (p *profileSource) exists() (ok bool) {
	_ = p.read(func(found fields, _ []byte) error {
		ok = found[fieldID] != nil || found[fieldProcess] != nil
		return nil
	})
	return ok
}

// region is what the profile says, "" for nothing.
func (p *profileSource) region() (region string) {
	_ = p.read(func(found fields, _ []byte) error {
		region = string(found[fieldRegion])
		return nil
	})
	return region
}

func (p *profileSource) load(ctx context.Context, n need) (g *grant, err error) {
	var process string
	err = p.read(func(found fields, rest []byte) error {
		id, secret := found[fieldID], found[fieldSecret]
		switch {
		case len(id) > 0 && len(secret) > 0:
			g = newGrant(secret, rest, n, 1)
			g.id, g.token, g.again = string(id), string(found[fieldToken]), true
			return checkID(g.id)
		case len(found[fieldProcess]) > 0:
			process = string(found[fieldProcess])
			return nil
		}
		return p.incomplete(found)
	})
	if err != nil {
		return nil, &credentialError{err: backends.WithKind(backends.ErrAuth, fmt.Errorf("%s: %w", p.name(), err))}
	}
	if g != nil {
		return g, nil
	}
	return (&commandSource{command: shell(process), shown: "credential_process of " + p.name()}).load(ctx, n)
}

// incomplete says what is wrong with a profile without a key.
func (p *profileSource) incomplete(found fields) error {
	const instead = "use what the aws program makes of it, in the configuration, s3: credentials: " +
		"{source: command, command: [aws, configure, export-credentials, --profile, NAME, --format, process]}"
	switch {
	case found["role_arn"] != nil:
		return errors.New("it assumes a role, which is not supported here; " + instead)
	case found["sso_start_url"] != nil || found["sso_session"] != nil:
		return errors.New("it signs in with SSO, which is not supported here; " + instead)
	case found[fieldID] != nil || found[fieldSecret] != nil:
		return fmt.Errorf("it needs both %s and %s", fieldID, fieldSecret)
	case len(found) > 0:
		return fmt.Errorf("it has neither %s nor %s", fieldID, fieldProcess)
	}
	return fmt.Errorf("%w: it is neither in %s nor in %s", errNoCredentials, p.credentials, p.config)
}

// shell is how a credential_process is run: a line for the shell.
func shell(line string) []string {
	if runtime.GOOS == "windows" {
		return []string{"cmd.exe", "/C", line}
	}
	return []string{"/bin/sh", "-c", line}
}
