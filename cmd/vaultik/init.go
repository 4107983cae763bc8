package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"vaultik/config"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
)

type initCmd struct {
	Recipient   []string `help:"Whom to encrypt for, instead of a new post-quantum key; may be repeated." placeholder:"AGE1..."`
	RecoveryKit string   `name:"recovery-kit" help:"Where to write the recovery kit (default: beside the configuration)." placeholder:"PATH"`
}

// Help is shown by --help.
func (initCmd) Help() string {
	return `Makes the configuration, this host's id and keys, a new store and the recovery
kit. The kit holds the secret key that reads the backups and the store owner's
key; nothing else on this machine does. Move it to a safe place elsewhere. The
store is --store, else a directory below ~/.local/share/vaultik.

Without Vaultik, the new key needs age 1.3 or newer, which many distributions do
not have yet. To recover with any age, make an X25519 key (vaultik keygen
--classic) and give its public half to --recipient.`
}

// Run sets this machine up.
func (c *initCmd) Run(ctx context.Context, s *session) error {
	made, err := s.initialise(ctx, c.Recipient, c.RecoveryKit)
	if err != nil {
		return err
	}
	s.sayMade(made)
	return nil
}

// made is what initialise made.
type made struct {
	storeEvent
	secret bool // the kit holds an identity
}

// sayMade prints what must be kept beside the secret.
func (s *session) sayMade(m *made) {
	s.out.result("configuration: %s", m.Config)
	s.out.result("recovery kit: %s", m.Kit)
	s.out.result("owner: %s", m.Owner)
	s.out.result("store: %s", m.Store)
	s.out.result("url: %s", m.URL)
	s.out.event(m.storeEvent)
	if m.secret {
		s.out.warn("", "move %s off this machine, and keep it: without it nobody can read the backups, with it anybody can", m.Kit)
	} else {
		s.out.warn("", "move %s off this machine: it holds the owner's key of the store; the secret key of the recipients is not in it", m.Kit)
	}
}

// initialise makes keys, kit, store and configuration, in this order: what was
// written before a crash is either useless or found and named by the next init.
// An error takes back what it had made.
func (s *session) initialise(ctx context.Context, recipients []string, kitPath string) (_ *made, err error) {
	p, err := s.planInit(recipients, kitPath)
	if err != nil {
		return nil, err
	}
	var undo undoList
	defer func() {
		if err != nil {
			undo.run()
		}
	}()
	ns, err := s.newStore(ctx, p, &undo)
	if err != nil {
		return nil, err
	}
	defer ns.backend.Close()
	if err := s.writeKit(p, &undo); err != nil {
		return nil, err
	}
	trust, err := ns.write(ctx, p, &undo)
	if err != nil {
		return nil, err
	}
	if err := s.writeHost(p, trust, &undo); err != nil {
		return nil, err
	}
	return &made{secret: p.kit.Identity != "", storeEvent: storeEvent{
		Type: "store", Store: p.kit.StoreID.String(), URL: p.url, Owner: p.kit.Owner.Public().Fingerprint(),
		Config: s.places.Config, Kit: p.kitPath,
	}}, nil
}

// initPlan is everything decided and checked before anything is written.
type initPlan struct {
	url        string
	path       string // of a file store, else ""
	recipients keys.Recipients
	kit        keys.Kit
	kitPath    string
	kitDefault bool
	host       config.Host
}

// writeKit writes the kit, which must not replace anything.
func (s *session) writeKit(p *initPlan, undo *undoList) error {
	if p.kitDefault {
		if err := os.MkdirAll(filepath.Dir(p.kitPath), 0o700); err != nil {
			return fmt.Errorf("make directory of the recovery kit: %w", err)
		}
	}
	if err := writeNew(p.kitPath, keys.FormatKit(p.kit)); err != nil {
		return fmt.Errorf("write recovery kit: %w", err)
	}
	undo.add(func() { _ = os.Remove(p.kitPath) })
	return nil
}

// writeHost writes the state of this host and, last of all, the configuration.
func (s *session) writeHost(p *initPlan, trust config.Point, undo *undoList) error {
	owner := p.kit.Owner.Public().Fingerprint()
	err := s.state.UpdateSeen(func(seen *config.Seen) error {
		seen.NoteTrust(p.kit.StoreID, trust)
		return nil
	})
	if err != nil {
		return err
	}
	err = s.state.UpdateKnown(func(k *config.Known) error {
		k.Pin(config.KnownStore{Store: p.kit.StoreID, URL: p.url, Owner: owner, Since: p.kit.Created})
		return nil
	})
	if err != nil {
		return err
	}
	undo.add(func() {
		_ = s.state.UpdateKnown(func(k *config.Known) error { k.Forget(p.kit.StoreID); return nil })
	})
	if err := s.state.CreateHost(&p.host); err != nil {
		return err
	}
	undo.add(func() { _ = s.state.RemoveHost() })
	return config.Create(s.places.Config, p.url, p.recipients.Strings())
}

// undoList takes back the steps of an init that fails, last first.
type undoList struct{ steps []func() }

func (u *undoList) add(fn func()) { u.steps = append(u.steps, fn) }

func (u *undoList) run() {
	for i := len(u.steps) - 1; i >= 0; i-- {
		u.steps[i]()
	}
}

// planInit decides everything and makes the keys. It writes nothing.
func (s *session) planInit(recipients []string, kitPath string) (*initPlan, error) {
	if err := s.refuseConfigured(); err != nil {
		return nil, err
	}
	p := &initPlan{url: config.FileURL(s.places.Store), kitPath: kitPath, kitDefault: kitPath == ""}
	var err error
	if s.cli.Store != nil {
		if p.url, err = s.storeURL(); err != nil {
			return nil, err
		}
	}
	p.path = filePath(p.url)
	if len(recipients) > 0 {
		p.recipients, err = keys.ParseRecipients(recipients)
	} else if p.kit.Identity, p.kit.Recipient, err = keys.Generate(false); err == nil {
		p.recipients, err = keys.ParseRecipients([]string{p.kit.Recipient})
	}
	if err != nil {
		return nil, err
	}
	if err := p.placeKit(s.places); err != nil {
		return nil, err
	}
	p.makeHost()
	return p, nil
}

// refuseConfigured fails where a configuration, or the keys of a host, are already.
func (s *session) refuseConfigured() error {
	if exists(s.places.Config) {
		return &configured{file: s.places.Config, dir: s.places.Dir()}
	}
	if f := s.state.HostFile(); exists(f) {
		return &configured{file: f, leftover: true, dir: s.places.Dir()}
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// placeKit finds the kit's path; it must be free and not inside the store.
func (p *initPlan) placeKit(places config.Places) (err error) {
	if p.kitDefault {
		p.kitPath = places.Kit()
	}
	if p.kitPath, err = filepath.Abs(p.kitPath); err != nil {
		return err
	}
	if exists(p.kitPath) {
		return fmt.Errorf("write recovery kit: %w", &fileExists{p.kitPath})
	}
	if p.path != "" && (p.kitPath == p.path || strings.HasPrefix(p.kitPath, p.path+"/")) {
		return &usageError{msg: fmt.Sprintf("--recovery-kit: %s lies inside the store, which must never hold the secret", p.kitPath), command: "init"}
	}
	return nil
}

// makeHost makes ids and signing keys.
func (p *initPlan) makeHost() {
	p.kit.Owner, p.host.Signer = keys.NewSigner(), keys.NewSigner()
	p.kit.Created = time.Now().UTC().Truncate(time.Second)
	p.kit.StoreURL = p.url
	p.kit.StoreID = layout.NewStoreID()
	p.host.Store, p.host.StoreURL, p.host.Owner = p.kit.StoreID, p.url, p.kit.Owner.Public()
	p.host.ID, p.host.Secret = layout.NewHostID(), keys.NewHostSecret()
	p.host.Machine = config.MachineHash(p.host.Secret)
	p.host.Kit = p.kitPath
}

// remindOfKit warns while the recovery kit is still where init put it.
func (s *session) remindOfKit(h *config.Host) {
	if h.Kit != "" && exists(h.Kit) {
		s.out.warn("move it, and keep it: mv "+config.Quote(h.Kit)+" /media/SAFE/", "the recovery kit is still on this machine: %s", h.Kit)
	}
}
