package s3

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"vaultik/backends"
)

// commandSource is a program that prints a key as JSON.
// https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html
type commandSource struct {
	command []string
	shown   string // what it is, without its arguments, which may be secret
}

// commandTime is how long it may take: it may have to ask somebody.
const commandTime = time.Minute

func (c *commandSource) name() string { return c.shown }

func (c *commandSource) load(ctx context.Context, n need) (g *grant, err error) {
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	retry := false
	err = withScratch(func(page []byte) error {
		text, rest, err := c.run(ctx, page)
		if err != nil {
			retry = true
			return err
		}
		g, err = commandGrant(text, rest, n)
		return err
	})
	if err != nil {
		return nil, &credentialError{err: backends.WithKind(backends.ErrAuth, fmt.Errorf("%s: %w", c.name(), err)), retry: retry}
	}
	return g, nil
}

// run starts the command and reads its output through a pipe of our own: package
// exec would copy it to memory that nobody clears.
func (c *commandSource) run(ctx context.Context, page []byte) (text, rest []byte, err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = r.Close() }()
	var complaint tail
	cmd := exec.CommandContext(ctx, c.command[0], c.command[1:]...)
	cmd.Stdout, cmd.Stderr = w, &complaint
	cmd.WaitDelay = time.Second
	stop := context.AfterFunc(ctx, func() { _ = r.SetReadDeadline(time.Now()) }) // a grandchild may hold the pipe
	defer stop()
	err = cmd.Start()
	_ = w.Close()
	if err != nil {
		return nil, nil, err
	}
	text, rest, err = readAll(r, page)
	_ = r.Close() // a command that would go on writing ends
	if werr := cmd.Wait(); err == nil {
		err = werr
	}
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	if said := complaint.String(); err != nil && said != "" {
		err = fmt.Errorf("%w: %s", err, said)
	}
	return text, rest, err
}

// tail keeps the end of what is written to it, on one line.
type tail struct{ kept []byte }

const tailSize = 300 // bytes

func (t *tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p...)
	t.kept = t.kept[max(0, len(t.kept)-tailSize):]
	return len(p), nil
}

func (t *tail) String() string { return printable(strings.Join(strings.Fields(string(t.kept)), " ")) }

// hidden is a text of JSON that is found, not copied: it lies where the JSON lies.
type hidden []byte

// UnmarshalJSON keeps the place of a string.
func (h *hidden) UnmarshalJSON(b []byte) error {
	if len(b) < 2 || b[0] != '"' {
		return errors.New("not a string")
	}
	*h = b[1 : len(b)-1]
	return nil
}

func commandGrant(text, scratch []byte, n need) (*grant, error) {
	var key struct {
		Version         int
		AccessKeyID     string `json:"AccessKeyId"`
		SecretAccessKey hidden
		SessionToken    string
		Expiration      string
	}
	if err := json.Unmarshal(text, &key); err != nil {
		return nil, errors.New(`its output is not {"Version": 1, "AccessKeyId": "...", "SecretAccessKey": "..."}`)
	}
	if key.Version != 1 {
		return nil, fmt.Errorf("its output has version %d, not 1", key.Version)
	}
	secret, err := unescape(key.SecretAccessKey)
	if err != nil {
		return nil, err
	}
	if len(secret) == 0 {
		return nil, errors.New("its output has no SecretAccessKey")
	}
	var expires time.Time
	if key.Expiration != "" {
		if expires, err = time.Parse(time.RFC3339, key.Expiration); err != nil {
			return nil, errors.New("its Expiration is not an RFC 3339 time")
		}
	}
	g := newGrant(secret, scratch, n, 1)
	g.id, g.token, g.expires, g.again = key.AccessKeyID, key.SessionToken, expires, true
	return g, checkID(g.id)
}

// unescape resolves the escapes of a JSON string in place. Keys are ASCII; some
// programs escape / and +.
func unescape(s []byte) ([]byte, error) {
	if !bytes.Contains(s, []byte(`\`)) {
		return s, nil
	}
	out := s[:0]
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] != '\\':
			out = append(out, s[i])
			continue
		case i+1 < len(s) && bytes.IndexByte([]byte(`/\"`), s[i+1]) >= 0:
			out = append(out, s[i+1])
			i++
			continue
		case i+5 < len(s) && s[i+1] == 'u':
			if c, err := strconv.ParseUint(string(s[i+2:i+6]), 16, 7); err == nil {
				out = append(out, byte(c))
				i += 5
				continue
			}
		}
		return nil, errors.New("its SecretAccessKey has an unexpected escape")
	}
	return out, nil
}
