package engine

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
	"vaultik/engine/events"
	"vaultik/internal/fault"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
)

// InitOptions say how a machine is set up.
type InitOptions struct {
	Recipients  []string // whom to encrypt for; none: a new post-quantum key
	RecoveryKit string   // where to write it, "" for beside the configuration
}

// Init makes the configuration, this host's id and keys, a new store and the recovery
// kit, and tells of it: [events.StoreMade].
func (e *Engine) Init(ctx context.Context, o InitOptions, sink events.Sink) (events.Totals, error) {
	j := e.begin("init", sink)
	return j.told(ctx, func() error { return j.initialise(ctx, o) })
}

// initialise makes keys, kit, store and configuration, in this order: what was
// written before a crash is either useless or found and named by the next init.
// An error takes back what it had made.
func (j *job) initialise(ctx context.Context, o InitOptions) (err error) {
	p, err := j.planInit(o)
	if err != nil {
		return err
	}
	var undo undoList
	defer func() {
		if err != nil {
			undo.run()
		}
	}()
	ns, err := j.newStore(ctx, p, &undo)
	if err != nil {
		return err
	}
	defer ns.backend.Close()
	if err := j.writeKit(p, &undo); err != nil {
		return err
	}
	trust, err := ns.write(ctx, p, &undo)
	if err != nil {
		return err
	}
	if err := j.writeHost(p, trust, &undo); err != nil {
		return err
	}
	made := events.StoreMade{Secret: p.kit.Identity != "", Type: "store",
		Store: p.kit.StoreID.String(), Owner: p.kit.Owner.Public().Fingerprint()}
	made.URL, made.URL64 = events.Twin(p.url)
	made.Config, made.Config64 = events.Twin(j.places.Config)
	made.Kit, made.Kit64 = events.Twin(p.kitPath)
	j.Tell(made)
	return nil
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
func (j *job) writeKit(p *initPlan, undo *undoList) error {
	if p.kitDefault {
		if err := os.MkdirAll(filepath.Dir(p.kitPath), 0o700); err != nil {
			return fmt.Errorf("create directory of the recovery kit: %w", err)
		}
	}
	if err := WriteNew(p.kitPath, keys.FormatKit(p.kit)); err != nil {
		return fmt.Errorf("write recovery kit: %w", err)
	}
	undo.add(func() { _ = os.Remove(p.kitPath) })
	return nil
}

// writeHost writes the state of this host and, last of all, the configuration.
func (j *job) writeHost(p *initPlan, trust config.Point, undo *undoList) error {
	owner := p.kit.Owner.Public().Fingerprint()
	err := j.state.UpdateSeen(func(seen *config.Seen) error {
		seen.NoteTrust(p.kit.StoreID, trust)
		return nil
	})
	if err != nil {
		return err
	}
	err = j.state.UpdateKnown(func(k *config.Known) error {
		k.Pin(config.KnownStore{Store: p.kit.StoreID, URL: p.url, Owner: owner,
			Since: p.kit.Created})
		return nil
	})
	if err != nil {
		return err
	}
	undo.add(func() {
		_ = j.state.UpdateKnown(func(k *config.Known) error { k.Forget(p.kit.StoreID); return nil })
	})
	if err := j.state.CreateHost(&p.host); err != nil {
		return err
	}
	undo.add(func() { _ = j.state.RemoveHost() })
	state := ""
	if j.places.State != j.places.Dir() {
		state = j.places.State
	}
	return config.Create(j.places.Config, p.url, state, p.recipients.Strings())
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
func (j *job) planInit(o InitOptions) (*initPlan, error) {
	if err := j.refuseConfigured(); err != nil {
		return nil, err
	}
	p := &initPlan{url: config.FileURL(j.places.Store), kitPath: o.RecoveryKit,
		kitDefault: o.RecoveryKit == ""}
	var err error
	if j.o.Store != nil {
		if p.url, err = j.storeURL(); err != nil {
			return nil, err
		}
	}
	p.path = config.FilePath(p.url)
	made := []string{j.places.Config, j.places.State}
	if p.path != "" {
		made = append(made, p.path)
	}
	if err := j.places.CheckHome(made...); err != nil {
		return nil, err
	}
	if len(o.Recipients) > 0 {
		p.recipients, err = keys.ParseRecipients(o.Recipients)
	} else if p.kit.Identity, p.kit.Recipient, err = keys.Generate(false); err == nil {
		p.recipients, err = keys.ParseRecipients([]string{p.kit.Recipient})
	}
	if err != nil {
		return nil, err
	}
	if err := p.placeKit(j.places); err != nil {
		return nil, err
	}
	p.makeHost()
	return p, nil
}

// refuseConfigured fails where a configuration, or the keys of a host, are already.
func (j *job) refuseConfigured() error {
	if exists(j.places.Config) {
		return &configured{file: j.places.Config, dir: j.places.Dir()}
	}
	if f := j.state.HostFile(); exists(f) {
		return &configured{file: f, leftover: true, dir: j.places.State}
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
		return fault.Misuse("init", fmt.Sprintf(
			"--recovery-kit: %s is inside the store, which must never contain the secret",
			p.kitPath))
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
	p.host.Kit = config.Text(p.kitPath)
}

// remindOfKit warns while the recovery kit is still where init put it.
func (j *job) remindOfKit(h *config.Host) {
	if hint := moveKit(h); hint != "" {
		j.Warn(hint, "the recovery kit is still on this machine: %s", h.Kit)
	}
}

// moveKit is what to do with a recovery kit that is where init put it, "" if it is not.
func moveKit(h *config.Host) string {
	if h.Kit == "" || !exists(string(h.Kit)) {
		return ""
	}
	return "move it to a safe place: mv " + config.Quote(string(h.Kit)) + " /media/SAFE/"
}
