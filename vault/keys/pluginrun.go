package keys

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"filippo.io/age"
)

// maxPluginSays bounds what a plugin may say for one file key, in bytes.
const maxPluginSays = 1 << 20

// pluginRun is a plugin that was started for one file key. It speaks identity-v1 of
// https://c2sp.org/age-plugin. The client of package age does not tell which process it
// started, so one that hangs could not be killed.
type pluginRun struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  io.Closer
	says *bufio.Reader
	say  func(message string) // to the user
}

// startPlugin starts age-plugin-NAME; the error is exec.ErrNotFound if there is none.
func startPlugin(name string, say func(message string)) (*pluginRun, error) {
	cmd := exec.Command("age-plugin-"+name, "--age-plugin=identity-v1")
	cmd.Dir = os.TempDir() // as age does: no plugin depends on where it is started
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &pluginRun{cmd, in, out, bufio.NewReader(io.LimitReader(out, maxPluginSays)), say}, nil
}

// end lets the plugin end by itself, and waits for it.
func (r *pluginRun) end() {
	_, _ = r.in.Close(), r.out.Close()
	_ = r.cmd.Process.Signal(os.Interrupt)
	_ = r.cmd.Wait() // how it ended says less than what it said
}

// kill ends the plugin, and whatever waits for it here.
func (r *pluginRun) kill() {
	_ = r.cmd.Process.Kill()
	_, _ = r.in.Close(), r.out.Close()
}

// unwrap has the plugin find the file key. The error is age.ErrIncorrectIdentity if it has no
// key for any of the stanzas.
func (r *pluginRun) unwrap(secret string, stanzas []*age.Stanza) (key []byte, err error) {
	sent := r.ask(secret, stanzas)
	for {
		s, err := r.hear()
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, errors.Join(errors.New("it ended without an answer"), sent)
		} else if err != nil {
			return nil, err
		}
		reply := "ok"
		switch s.Type {
		case "done":
			if key == nil {
				return nil, age.ErrIncorrectIdentity
			}
			return key, nil
		case "error":
			_ = r.tell(&age.Stanza{Type: "ok"})
			return nil, errors.New(string(s.Body))
		case "file-key":
			if key != nil || len(s.Args) != 1 || s.Args[0] != "0" {
				return nil, errors.New("it gave a file key that was not asked for")
			}
			key = s.Body
		case "msg":
			r.say(string(s.Body))
		case "request-secret", "request-public", "confirm":
			return nil, errors.New("it asks for input, which is not supported")
		default:
			reply = "unsupported"
		}
		if err := r.tell(&age.Stanza{Type: reply}); err != nil {
			return nil, err
		}
	}
}

// ask sends the identity and what it may open.
func (r *pluginRun) ask(secret string, stanzas []*age.Stanza) error {
	all := []*age.Stanza{{Type: "add-identity", Args: []string{secret}}}
	for _, s := range stanzas {
		all = append(all, &age.Stanza{Type: "recipient-stanza",
			Args: append([]string{"0", s.Type}, s.Args...), Body: s.Body})
	}
	return r.tell(append(all, &age.Stanza{Type: "done"})...)
}

// pluginLine is how many characters of base64 a line of a stanza has; a shorter one is its last.
const pluginLine = 64

func (r *pluginRun) tell(stanzas ...*age.Stanza) error {
	var b strings.Builder
	for _, s := range stanzas {
		b.WriteString("-> " + strings.Join(append([]string{s.Type}, s.Args...), " ") + "\n")
		body := base64.RawStdEncoding.EncodeToString(s.Body)
		for ; len(body) >= pluginLine; body = body[pluginLine:] {
			b.WriteString(body[:pluginLine] + "\n")
		}
		b.WriteString(body + "\n")
	}
	_, err := io.WriteString(r.in, b.String())
	return err
}

// hear reads a stanza. The error is io.EOF if the plugin has said all, and may be
// io.ErrUnexpectedEOF if it stopped within a stanza.
func (r *pluginRun) hear() (*age.Stanza, error) {
	notice := time.AfterFunc(pluginNotice, func() {
		r.say("not responding yet; does a key need to be touched?")
	})
	defer notice.Stop()
	line, err := r.line()
	if err != nil {
		return nil, err
	}
	words, ok := strings.CutPrefix(line, "-> ")
	if !ok || words == "" {
		return nil, errNotSpoken
	}
	args := strings.Split(words, " ")
	s := &age.Stanza{Type: args[0], Args: args[1:]}
	for {
		if line, err = r.line(); err != nil {
			return nil, err
		}
		part, err := base64.RawStdEncoding.Strict().DecodeString(line)
		if err != nil || len(line) > pluginLine {
			return nil, errNotSpoken
		}
		s.Body = append(s.Body, part...)
		if len(line) < pluginLine {
			return s, nil
		}
	}
}

// errNotSpoken: what a plugin says is not of the protocol.
var errNotSpoken = errors.New("it does not speak the protocol of age plugins")

func (r *pluginRun) line() (string, error) {
	line, err := r.says.ReadString('\n')
	if errors.Is(err, io.EOF) && line != "" {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return "", fmt.Errorf("read what it says: %w", err)
	}
	return strings.TrimSuffix(line, "\n"), nil
}
