package keys

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"filippo.io/age"

	"vaultik/internal/platform"
	"vaultik/vault/layout"
)

// EnvIdentity is the one place from which an identity is read.
const EnvIdentity = "VAULTIK_AGE_SECRET_KEY"

// Identity holds the age identities that open backups. It never prints itself.
type Identity struct {
	native     []age.Identity // opaque
	plugins    []age.Identity // opaque
	onMessage  []func(fn func(plugin, message string))
	recipients []string
}

// opaque is an age identity that prints as little as [Identity] does: age's
// own types print their secret.
type opaque struct {
	unwrap func([]*age.Stanza) ([]byte, error)
	epoch  layout.Epoch // that it is the key of; zero: of none
}

// Unwrap implements age.Identity. The stanza of an epoch is the last, see EncryptTo: each that
// is tried before it takes as much time as it does.
func (o *opaque) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	if !o.epoch.IsZero() {
		stanzas = slices.Clone(stanzas)
		slices.Reverse(stanzas)
	}
	return o.unwrap(stanzas)
}

// TakeIdentity reads the identity from the environment and removes it from
// there whatever it holds: no program started later inherits it, or finds it in
// /proc/PID/environ of this one. It returns [ErrNoIdentity] or [ErrBadIdentity].
func TakeIdentity() (*Identity, error) {
	s, ok := os.LookupEnv(EnvIdentity)
	s = strings.Clone(s) // what it points to is overwritten
	platform.ForgetEnv(EnvIdentity)
	if !ok || strings.TrimSpace(s) == "" {
		return nil, ErrNoIdentity
	}
	id, err := ParseIdentity(s)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", EnvIdentity, err)
	}
	return id, nil
}

// ParseIdentity reads one or several identities separated by white space:
// AGE-SECRET-KEY-1..., AGE-SECRET-KEY-PQ-1..., AGE-PLUGIN-.... Lines that begin
// with # are skipped, so the contents of an identity file or of a recovery kit
// will do. The error is [ErrBadIdentity] and repeats nothing of s.
func ParseIdentity(s string) (*Identity, error) {
	id := new(Identity)
	n := 0
	for line := range strings.Lines(s) {
		if strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		for _, word := range strings.Fields(line) {
			n++
			if err := id.add(word); err != nil {
				return nil, fmt.Errorf("identity %d: %w", n, err)
			}
		}
	}
	if n == 0 {
		return nil, fmt.Errorf("%w: it is empty", ErrBadIdentity)
	}
	return id, nil
}

func (i *Identity) add(word string) error {
	if strings.HasPrefix(word, "AGE-PLUGIN-") {
		p, err := newPluginIdentity(word)
		if err != nil {
			return err
		}
		i.plugins = append(i.plugins, &opaque{unwrap: p.Unwrap})
		i.onMessage = append(i.onMessage, func(fn func(plugin, message string)) { p.onMessage = fn })
		return nil
	}
	native, recipient, err := parseNative(word)
	if err != nil {
		return err
	}
	i.native, i.recipients = append(i.native, native), append(i.recipients, recipient)
	return nil
}

// postQuantumPrefix begins a hybrid identity, which age knows from version 1.3 on.
const postQuantumPrefix = "AGE-SECRET-KEY-PQ-1"

// parseNative reads an X25519 or hybrid identity. It never returns age's own errors.
func parseNative(s string) (id age.Identity, recipient string, err error) {
	switch {
	case strings.HasPrefix(s, postQuantumPrefix):
		if k, err := age.ParseHybridIdentity(s); err == nil {
			return &opaque{unwrap: k.Unwrap}, k.Recipient().String(), nil
		}
	case strings.HasPrefix(s, "AGE-SECRET-KEY-1"):
		if k, err := age.ParseX25519Identity(s); err == nil {
			return &opaque{unwrap: k.Unwrap}, k.Recipient().String(), nil
		}
	case strings.HasPrefix(s, "age1"):
		return nil, "", fmt.Errorf("%w: this is a recipient, the public half of a key", ErrBadIdentity)
	default:
		return nil, "", fmt.Errorf("%w: it begins with neither AGE-SECRET-KEY- nor AGE-PLUGIN-", ErrBadIdentity)
	}
	return nil, "", fmt.Errorf("%w: it is damaged or incomplete (its checksum does not match)", ErrBadIdentity)
}

// Age returns the identities for package age; those that need no plugin first.
// They may be used by many goroutines.
func (i *Identity) Age() []age.Identity {
	if i == nil {
		return nil
	}
	return slices.Concat(i.native, i.plugins)
}

// Recipients returns the recipients of the native identities.
func (i *Identity) Recipients() []string { return slices.Clone(i.recipients) }

// OnMessage sets what is called when an age plugin has something to say, such
// as that a key wants to be touched. Call it before the identity is used.
func (i *Identity) OnMessage(fn func(plugin, message string)) {
	for _, set := range i.onMessage {
		set(fn)
	}
}

// Generate makes a post-quantum hybrid identity, or a classic X25519 one.
func Generate(classic bool) (secret, recipient string, err error) {
	if classic {
		k, err := age.GenerateX25519Identity()
		if err != nil {
			return "", "", fmt.Errorf("generate identity: %w", err)
		}
		return k.String(), k.Recipient().String(), nil
	}
	k, err := age.GenerateHybridIdentity()
	if err != nil {
		return "", "", fmt.Errorf("generate identity: %w", err)
	}
	return k.String(), k.Recipient().String(), nil
}
