package keys

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"filippo.io/age"
	"filippo.io/age/plugin"
)

// pluginTimeout is how long a plugin may take for one file key: time to find
// a hardware key and touch it.
const pluginTimeout = 60 * time.Second

// pluginIdentity is an identity behind an age plugin. The plugin is never
// given an answer to a question, works on one file key at a time, and is given
// up for good when it has hung once: nothing here can stop it, and each further
// object would wait as long again.
type pluginIdentity struct {
	inner     *plugin.Identity
	timeout   time.Duration
	onMessage func(plugin, message string)
	asked     atomic.Bool

	turn sync.Mutex // held while the plugin works
	hung bool       // under turn
}

// errAsked is what a plugin is told that wants to ask something.
var errAsked = errors.New("no questions")

func newPluginIdentity(s string) (*pluginIdentity, error) {
	p := &pluginIdentity{timeout: pluginTimeout}
	inner, err := plugin.NewIdentity(s, &plugin.ClientUI{
		DisplayMessage: func(name, message string) error {
			p.say(name, message)
			return nil
		},
		RequestValue: func(string, string, bool) (string, error) {
			p.asked.Store(true)
			return "", errAsked
		},
		Confirm: func(string, string, string, string) (bool, error) {
			p.asked.Store(true)
			return false, errAsked
		},
		WaitTimer: func(name string) { p.say(name, "not responding yet; does a key need to be touched?") },
	})
	if err != nil {
		return nil, fmt.Errorf("%w: it is damaged or incomplete (its checksum does not match)", ErrBadIdentity)
	}
	p.inner = inner
	return p, nil
}

func (p *pluginIdentity) say(name, message string) {
	if p.onMessage != nil && !looksSecret(message) {
		p.onMessage(name, message)
	}
}

// Unwrap implements age.Identity.
func (p *pluginIdentity) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	p.turn.Lock()
	defer p.turn.Unlock()
	if p.hung {
		return nil, fmt.Errorf("%w %s: it was not responding before", ErrPlugin, p.inner.Name())
	}
	type answer struct {
		key []byte
		err error
	}
	done := make(chan answer, 1)
	go func() {
		key, err := p.inner.Unwrap(stanzas)
		done <- answer{key, err}
	}()
	watchdog := time.NewTimer(p.timeout)
	defer watchdog.Stop()
	select {
	case a := <-done:
		return a.key, p.explain(a.err)
	case <-watchdog.C:
		p.hung = true
		return nil, fmt.Errorf("%w %s: not responding for %s", ErrPlugin, p.inner.Name(), p.timeout)
	}
}

func (p *pluginIdentity) explain(err error) error {
	var missing *plugin.NotFoundError
	name := p.inner.Name()
	switch {
	case err == nil || errors.Is(err, age.ErrIncorrectIdentity):
		return err
	case errors.As(err, &missing):
		return fmt.Errorf("%w %s: there is no age-plugin-%s in PATH", ErrPlugin, name, name)
	case p.asked.Load():
		return fmt.Errorf("%w %s: it asks for input, which is not supported", ErrPlugin, name)
	case looksSecret(err.Error()):
		return fmt.Errorf("%w %s: it failed with a message that contains a key", ErrPlugin, name)
	}
	return fmt.Errorf("%w: %w", ErrPlugin, err)
}
