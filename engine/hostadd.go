package engine

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"vaultik/backends"
	"vaultik/config"
	"vaultik/engine/events"
	"vaultik/internal/fault"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// AddOptions say what this machine is to be in a store.
type AddOptions struct {
	Roles      []string // snapshot.RoleWrite, RolePrune; none: RoleWrite
	Recipients []string // for whom it will encrypt, where no configuration says so
	File       string   // where to write the request, "" for nowhere
}

// AddHost makes the keys of a machine that is to use a store beside others, its configuration
// where there is none, and a request that the owner of the store accepts. It tells of it:
// [events.HostRequest]. Asked again it tells of the same machine.
func (e *Engine) AddHost(ctx context.Context, o AddOptions,
	sink events.Sink) (events.Totals, error) {
	j := e.begin("host add", sink)
	return j.told(ctx, func() error { return j.addHost(ctx, o) })
}

// newHost is a machine that asks to be added.
type newHost struct {
	host       *config.Host
	hostname   string
	recipients keys.Recipients // none if it does not back up
	configure  bool            // there is no configuration yet
}

func (j *job) addHost(ctx context.Context, o AddOptions) error {
	n, err := j.planHost(o)
	if err != nil {
		return err
	}
	op, err := j.openStore(ctx, backends.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	defer op.Close()
	if op.Mirror {
		return mirrorAlone(op, "become a host of the store")
	}
	if n.host.ID.IsZero() {
		n.make(op)
		if err := j.writeNewHost(op, n); err != nil {
			return err
		}
	} else if op.Host == nil {
		return &otherStore{backends.Redact(op.URL), op.Store.Doc.Store.String(),
			n.host.Store.String()}
	} else if h, ok := op.Store.Trust.Host(n.host.ID); ok {
		return j.added(op, n.host, h)
	}
	return j.request(op, n, o.File)
}

// mirrorAlone refuses to change a mirror, whose store would not know of it.
func mirrorAlone(op *opened, what string) error {
	return &fault.UsageError{
		Msg:    backends.Redact(op.URL) + " is a mirror: this machine cannot " + what + " there",
		Advice: "name the store itself: --store URL",
	}
}

// added says of a machine that the owner has accepted before that nothing is to do.
func (j *job) added(op *opened, host *config.Host, h snapshot.TrustHost) error {
	again := "--store " + config.Quote(backends.Redact(op.URL)) + " host add "
	if h.Has(snapshot.RoleWrite) {
		again += "--recipient AGE1..."
	} else {
		again += "--role " + snapshot.RolePrune
	}
	switch {
	case h.Key != host.Signer.Public():
		return fault.WithHint(errors.New("the store knows this host with another key"),
			"begin as another host: "+j.becomeNewHost(again))
	case !h.Revoked.IsZero():
		return fault.WithHint(errors.New("the owner has revoked the key of this host, which stays "+
			"so"), "begin as another host: "+j.becomeNewHost(again))
	}
	j.Note("nothing to do: this machine is host %s of the store already", h.Host)
	return nil
}

// planHost decides everything that can be decided without the store. It writes nothing.
func (j *job) planHost(o AddOptions) (*newHost, error) {
	if len(o.Roles) == 0 {
		o.Roles = []string{snapshot.RoleWrite}
	}
	if err := snapshot.CheckRoles(o.Roles); err != nil {
		return nil, fault.Misuse("host add", "--role: "+err.Error())
	}
	n := &newHost{host: &config.Host{Roles: o.Roles}, configure: !exists(j.places.Config)}
	if err := j.planNames(n, o); err != nil {
		return nil, err
	}
	old, err := j.state.LoadHost()
	switch {
	case err == nil && len(old.Roles) == 0:
		return nil, &configured{file: j.places.Config, dir: j.places.Dir()}
	case err == nil && n.configure:
		return nil, &configured{file: j.state.HostFile(), leftover: true, dir: j.places.State}
	case err == nil:
		n.host = old
	case !errors.Is(err, config.ErrMissing):
		return nil, err
	}
	return n, j.planRecipients(n, o)
}

// planNames finds out how a machine calls itself, and for whom it encrypts if a configuration
// says so.
func (j *job) planNames(n *newHost, o AddOptions) (err error) {
	if n.configure {
		n.hostname, err = os.Hostname()
		return err
	}
	conf, err := j.config()
	if err != nil {
		return err
	}
	n.hostname, n.recipients = conf.Hostname, conf.Recipients
	return j.sameAsConfigured(conf, o)
}

// sameAsConfigured fails where a configuration is there and says something else.
func (j *job) sameAsConfigured(conf *config.Config, o AddOptions) error {
	url, err := j.storeURL()
	if err != nil {
		return err
	}
	if url != conf.StorageURL {
		return fault.Misuse("host add", fmt.Sprintf(
			"--store is not the store in %s: omit it, or change storage_url there", conf.File))
	}
	if len(o.Recipients) > 0 {
		return fault.Misuse("host add", fmt.Sprintf(
			"--recipient is for machines without a configuration: change age_recipients in %s",
			conf.File))
	}
	return nil
}

// planRecipients finds out for whom a machine will encrypt: who backs up has to say so.
func (j *job) planRecipients(n *newHost, o AddOptions) (err error) {
	if !n.host.BacksUp() {
		if len(o.Recipients) > 0 {
			return fault.Misuse("host add",
				"--recipient: a machine that only prunes encrypts nothing")
		}
		n.recipients = keys.Recipients{}
		return nil
	}
	if len(o.Recipients) > 0 {
		n.recipients, err = keys.ParseRecipients(o.Recipients)
		return err
	}
	if n.recipients.IsZero() {
		return &fault.UsageError{Command: "host add",
			Msg: "for whom this machine is to encrypt its backups is not known",
			Advice: "give their recipients: --recipient AGE1...; " +
				"a machine that backs up to this store has them: vaultik recipient list"}
	}
	return nil
}

// make makes ids and keys.
func (n *newHost) make(op *opened) {
	h := n.host
	h.Store, h.StoreURL, h.Owner = op.Store.Doc.Store, op.URL, op.Store.Doc.Owner
	h.ID, h.Signer = layout.NewHostID(), keys.NewSigner()
	if h.BacksUp() {
		h.Secret = keys.NewHostSecret()
		h.Machine = config.MachineHash(h.Secret)
	}
}

// writeNewHost writes the state of this host and, last of all, the configuration.
func (j *job) writeNewHost(op *opened, n *newHost) error {
	if err := j.places.CheckHome(j.places.Config, j.places.State); err != nil {
		return err
	}
	if err := j.state.CreateHost(n.host); err != nil {
		return err
	}
	if !n.configure {
		return nil
	}
	state := ""
	if j.places.State != j.places.Dir() {
		state = j.places.State
	}
	err := config.Create(j.places.Config, op.URL, state, n.recipients.Strings())
	if err != nil {
		_ = j.state.RemoveHost()
	}
	return err
}

// request tells of the request of a machine that is not accepted yet.
func (j *job) request(op *opened, n *newHost, file string) error {
	h := n.host
	r := &snapshot.Request{Store: h.Store, Owner: h.Owner.Fingerprint(), Host: h.ID,
		Key: h.Signer.Public(), Roles: h.Roles, Time: time.Now(),
		Hostname: snapshot.Text(n.hostname), Recipients: n.recipients.Strings()}
	text, err := snapshot.EncodeRequest(r, h.Signer)
	if err != nil {
		return err
	}
	if file != "" {
		if err := WriteNew(file, text); err != nil {
			return fmt.Errorf("write request: %w", err)
		}
	}
	ev := requestEvent(r)
	ev.Request, ev.File = string(text), file
	j.Tell(ev)
	j.Note("on a machine with the recovery kit: vaultik --store %s host accept --kit FILE REQUEST",
		config.Quote(op.URL))
	return nil
}

// requestEvent is a request for people.
func requestEvent(r *snapshot.Request) events.HostRequest {
	ev := events.HostRequest{Type: "host-request", Store: r.Store.String(), Host: r.Host.String(),
		Key: r.Key.Fingerprint(), Roles: slices.Clone(r.Roles), Time: r.Time,
		Recipients: r.Recipients}
	ev.Hostname, ev.Hostname64 = events.Twin(string(r.Hostname))
	if sum, ok := recipientsSum(r.Recipients); ok {
		ev.Sum = hex.EncodeToString(sum[:])
	}
	return ev
}

// recipientsSum is what the owner signs of recipients; false if there are none.
func recipientsSum(list []string) (snapshot.Sum, bool) {
	rs, err := keys.ParseRecipients(list)
	return rs.Sum(), err == nil
}
