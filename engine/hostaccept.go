package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"vaultik/backends"
	"vaultik/engine/events"
	"vaultik/internal/fault"
	"vaultik/internal/words"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// MaxRequest bounds a request of a new machine, in bytes.
const MaxRequest = snapshot.MaxRequest

// AcceptOptions say whose request the owner accepts.
type AcceptOptions struct {
	Kit     string // file with the recovery kit
	Request []byte // text with the request, as host add has written it
	// Confirm is the fingerprint that the new machine shows; without it Agree is asked.
	Confirm string
	Agree   func(events.HostRequest) bool
}

// AcceptHost has the owner trust a machine that has asked for it. It tells of
// [events.HostRequest] first.
func (e *Engine) AcceptHost(ctx context.Context, o AcceptOptions, sink events.Sink) (events.Totals,
	error) {
	j := e.begin("host accept", sink)
	return j.told(ctx, func() error { return j.acceptHost(ctx, o) })
}

func (j *job) acceptHost(ctx context.Context, o AcceptOptions) error {
	r, err := snapshot.DecodeRequest(o.Request)
	if err != nil {
		return &badRequest{err}
	}
	op, err := j.openStore(ctx, backends.Options{})
	if err != nil {
		return err
	}
	defer op.Close()
	if op.Mirror {
		return mirrorAlone(op, "accept a host")
	}
	kit, err := ownersKit(o.Kit, op)
	if err != nil {
		return err
	}
	if err := checkRequest(op, r); err != nil {
		return err
	}
	ev := requestEvent(r)
	ev.Kit = kit.Recipient
	j.Tell(ev)
	j.warnOfRequest(op, kit, r)
	switch {
	case o.Confirm != "" && o.Confirm != ev.Key:
		return fault.WithHint(fmt.Errorf("the request is of another key than %s: "+
			"nothing was changed", o.Confirm),
			"compare with what the new machine shows: vaultik host add")
	case o.Confirm == "" && (o.Agree == nil || !o.Agree(ev)):
		return ErrNotAgreed
	}
	err = j.signTrust(ctx, op, kit, func(t *snapshot.Trust) error {
		h := snapshot.TrustHost{Host: r.Host, Key: r.Key, Roles: r.Roles, Since: time.Now()}
		if sum, ok := recipientsSum(r.Recipients); ok {
			h.Recipients = []snapshot.Sum{sum}
		}
		return t.Add(h)
	})
	if err != nil {
		return taken(err)
	}
	j.nameHosts(op, map[layout.HostID]string{r.Host: string(r.Hostname)})
	if slices.Contains(r.Roles, snapshot.RoleWrite) {
		j.Note("accepted: it can back up now")
	} else {
		j.Note("accepted: it can prune now")
	}
	return nil
}

// badRequest: a text holds no request, or one that was changed. That is no damage in a store.
type badRequest struct{ err error }

func (e *badRequest) Error() string  { return e.err.Error() }
func (e *badRequest) Unwrap() error  { return e.err }
func (*badRequest) Exit() fault.Code { return fault.Failed }
func (*badRequest) Hint() string {
	return "on the new machine, write it again: vaultik host add --output FILE"
}

// taken says what to do where a host or its key is in the trust list already.
func taken(err error) error {
	if errors.Is(err, snapshot.ErrTaken) {
		return fault.WithHint(err, "see which hosts are trusted: vaultik host list")
	}
	return err
}

// checkRequest refuses what nobody can accept: a request to another store, or one of a host or
// key that the store has or had.
func checkRequest(op *opened, r *snapshot.Request) error {
	doc := &op.Store.Doc
	switch {
	case r.Store != doc.Store:
		return fault.WithHint(fmt.Errorf("the request is for store %s; this is %s", r.Store,
			doc.Store), "name that store: --store URL")
	case r.Owner != doc.Owner.Fingerprint():
		return fault.WithHint(fmt.Errorf("the new machine was shown a store of owner %s; that of "+
			"this one is %s", r.Owner, doc.Owner.Fingerprint()),
			"make sure that both use the same place, and begin again there: vaultik host add")
	}
	for _, h := range op.Store.Trust.Hosts {
		switch {
		case h.Host == r.Host && h.Key == r.Key && !h.Revoked.IsZero():
			return fault.WithHint(fmt.Errorf("the key of host %s was revoked, which stays so",
				r.Host), "on that machine, begin as another host: move its host.json aside, then: "+
				"vaultik host add")
		case h.Host == r.Host && h.Key == r.Key:
			return taken(fmt.Errorf("%w: host %s was accepted before", snapshot.ErrTaken, r.Host))
		case h.Host == r.Host:
			return taken(fmt.Errorf("%w: host %s has another key than the request",
				snapshot.ErrTaken, r.Host))
		case h.Key == r.Key:
			return taken(fmt.Errorf("%w: the key is that of host %s", snapshot.ErrTaken, h.Host))
		}
	}
	return nil
}

// warnOfRequest says what the owner should think about.
func (j *job) warnOfRequest(op *opened, kit *keys.Kit, r *snapshot.Request) {
	for id, name := range op.Known.Hosts {
		if h, ok := op.Store.Trust.Host(id); ok && name == r.Hostname &&
			h.Revoked.IsZero() {
			j.Warn("if it is the same machine, revoke that one afterwards: vaultik host revoke "+
				id.String(), "there is a host of that name already: %s", id)
		}
	}
	if slices.Contains(r.Roles, snapshot.RolePrune) {
		j.Warn("", "with the role prune it may delete snapshots of all hosts")
	}
	sum, ok := recipientsSum(r.Recipients)
	if !ok {
		return
	}
	if kit.Recipient != "" && !slices.Contains(r.Recipients, kit.Recipient) {
		j.Warn("", "the key of the recovery kit is not among the recipients: it will not open "+
			"what that machine saves")
	}
	if !slices.ContainsFunc(op.Store.Trust.Hosts, func(h snapshot.TrustHost) bool {
		return slices.Contains(h.Recipients, sum)
	}) {
		j.Warn("compare them with: vaultik recipient list",
			"no other host of the store encrypts for these %s",
			words.Plural(int64(len(r.Recipients)), "recipient", "recipients"))
	}
}
