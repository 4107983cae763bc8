package keys

import (
	"errors"
	"fmt"
	"os/exec"
	"sync"
	"time"

	"filippo.io/age"
	"filippo.io/age/plugin"
)

const (
	// pluginTimeout is how long a plugin may take for one file key: time to find a hardware
	// key and touch it.
	pluginTimeout = 60 * time.Second
	// pluginNotice is how long a plugin says nothing before the user is told.
	pluginNotice = 5 * time.Second
	// pluginDeath is how long a killed plugin is waited for: one that hangs in the kernel
	// does not die.
	pluginDeath = 5 * time.Second
)

// pluginIdentity is an identity behind an age plugin. The plugin is never given an answer to a
// question, and works on one file key at a time. One that hangs is killed and not started again,
// since each further object would wait as long.
type pluginIdentity struct {
	name      string
	secret    string // AGE-PLUGIN-NAME-1...
	after     func(time.Duration) <-chan time.Time
	onMessage func(plugin, message string)

	turn sync.Mutex // held while the plugin works
	hung bool       // under turn
}

func newPluginIdentity(s string) (*pluginIdentity, error) {
	name, _, err := plugin.ParseIdentity(s)
	if err != nil {
		return nil, fmt.Errorf("%w: it is damaged or incomplete (its checksum does not match)",
			ErrBadIdentity)
	}
	return &pluginIdentity{name: name, secret: s, after: time.After}, nil
}

func (p *pluginIdentity) say(message string) {
	if p.onMessage != nil && !looksSecret(message) {
		p.onMessage(p.name, message)
	}
}

// Unwrap implements age.Identity.
func (p *pluginIdentity) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	p.turn.Lock()
	defer p.turn.Unlock()
	if p.hung {
		return nil, fmt.Errorf("%w %s: it was not responding before", ErrPlugin, p.name)
	}
	run, err := startPlugin(p.name, p.say)
	if err != nil {
		return nil, p.explain(err)
	}
	type answer struct {
		key []byte
		err error
	}
	done := make(chan answer, 1)
	go func() {
		key, err := run.unwrap(p.secret, stanzas)
		run.end()
		done <- answer{key, err}
	}()
	select {
	case a := <-done:
		return a.key, p.explain(a.err)
	case <-p.after(pluginTimeout):
	}
	p.hung = true
	run.kill()
	select {
	case <-done:
	case <-time.After(pluginDeath):
	}
	return nil, fmt.Errorf("%w %s: not responding for %s, so it was stopped", ErrPlugin, p.name,
		pluginTimeout)
}

func (p *pluginIdentity) explain(err error) error {
	switch {
	case err == nil || errors.Is(err, age.ErrIncorrectIdentity):
		return err
	case errors.Is(err, exec.ErrNotFound):
		return fmt.Errorf("%w %s: there is no age-plugin-%s in PATH", ErrPlugin, p.name, p.name)
	case looksSecret(err.Error()):
		return fmt.Errorf("%w %s: it failed with a message that contains a key", ErrPlugin, p.name)
	}
	return fmt.Errorf("%w %s: %w", ErrPlugin, p.name, err)
}
