package engine

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"vaultik/backends"
	"vaultik/config"
	"vaultik/engine/events"
	"vaultik/internal/fault"
	"vaultik/internal/words"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// RecipientsResult are those for whom this host encrypts.
type RecipientsResult struct {
	events.Totals
	Recipients events.Recipients
}

// ListRecipients are those that the configuration names. If the owner has signed others there
// is an error as well. With a recovery kit it is that of the kit's key; neither a configuration
// nor a store is needed then.
func (e *Engine) ListRecipients(ctx context.Context, kit string,
	sink events.Sink) (RecipientsResult, error) {
	j := e.begin("recipient list", sink)
	ev, err := attended(ctx, j, func() (events.Recipients, error) {
		if kit != "" {
			return recipientOfKit(kit)
		}
		return j.listRecipients(ctx)
	})
	return RecipientsResult{j.totals(), ev}, err
}

// recipientOfKit tells for whom to encrypt so that the kit reads it.
func recipientOfKit(file string) (ev events.Recipients, err error) {
	kit, err := readOwnersKit(file)
	if err != nil {
		return ev, err
	}
	rs, err := keys.ParseRecipients([]string{kit.Recipient})
	if err != nil {
		return ev, fault.WithHint(fmt.Errorf("the recovery kit %s holds no secret key, so it has "+
			"no recipient", config.Quote(file)),
			"see those of a machine that backs up: vaultik recipient list")
	}
	return events.Recipients{Type: "recipients", Recipients: rs.Strings(),
		Sum: snapshot.Sum(rs.Sum()).String()}, nil
}

func (j *job) listRecipients(ctx context.Context) (ev events.Recipients, err error) {
	r, err := j.openRecipients(ctx, "")
	if err != nil {
		return ev, err
	}
	defer r.op.Close()
	sum := snapshot.Sum(r.conf.Recipients.Sum())
	host, _ := r.op.Store.Trust.Host(r.op.Host.ID)
	signed, isSigned := host.SignedFor()
	ev = events.Recipients{Type: "recipients", Recipients: r.conf.Recipients.Strings(),
		Sum: sum.String(), Signed: isSigned && signed == sum}
	switch {
	case !isSigned:
		j.Warn(j.signTheirs(), "the owner has not signed them")
	case signed != sum:
		return ev, &otherRecipients{r.conf.File, true, j.signTheirs()}
	}
	return ev, nil
}

// RecipientOptions say whose keys are to open the backups of this host from now on, or not.
type RecipientOptions struct {
	OwnerOptions
	Recipients []string // age1...
}

// AddRecipients adds recipients to the configuration and has the owner sign them. With an
// identity it wraps the epoch keys for them, so that they open what was saved before as well. It
// tells of [events.Recipients] first.
func (e *Engine) AddRecipients(ctx context.Context, o RecipientOptions,
	sink events.Sink) (events.Totals, error) {
	j := e.begin("recipient add", sink)
	return j.told(ctx, func() error {
		return j.changeRecipients(ctx, o, func(have []string) []string {
			return append(have, o.Recipients...)
		})
	})
}

// RemoveRecipients removes recipients from the configuration and has the owner sign those that
// are left. It tells of [events.Recipients] first.
func (e *Engine) RemoveRecipients(ctx context.Context, o RecipientOptions,
	sink events.Sink) (events.Totals, error) {
	j := e.begin("recipient remove", sink)
	return j.told(ctx, func() error {
		return j.changeRecipients(ctx, o, func(have []string) []string {
			return slices.DeleteFunc(have, func(r string) bool {
				return slices.Contains(o.Recipients, r)
			})
		})
	})
}

// changeRecipients asks before it writes anything. The configuration comes first: if the rest
// fails, the next backup says what to do.
func (j *job) changeRecipients(ctx context.Context, o RecipientOptions,
	change func([]string) []string) error {
	if _, err := keys.ParseRecipients(o.Recipients); err != nil {
		return err
	}
	if _, err := j.optionalIdentity(); err != nil {
		return err
	}
	r, err := j.openRecipients(ctx, o.Kit)
	if err != nil {
		return err
	}
	defer r.op.Close()
	have := r.conf.Recipients.Strings()
	want, err := keys.ParseRecipients(change(slices.Clone(have)))
	if err != nil {
		return err
	}
	adds, removes := missingFrom(have, want.Strings()), missingFrom(want.Strings(), have)
	if err := j.nothingRemoved(o, have, removes); err != nil {
		return err
	}
	if err := j.signSet(ctx, r, want, o.OwnerOptions, func() error {
		if len(adds)+len(removes) == 0 {
			return nil
		}
		return r.conf.SetRecipients(want)
	}); err != nil {
		return err
	}
	if len(removes) > 0 {
		j.Warn("", "whoever has the key of a recipient that was removed can still read all "+
			"that was saved before, and what is shared with it: nothing can take that back. "+
			"What is new from now on, that key does not open")
	}
	if len(adds) == 0 {
		return nil
	}
	if j.o.Identity == nil {
		j.Warn(j.vaultik("recipient rewrap"), "what was saved before cannot be read with the "+
			"added key yet: on a machine with a secret key that reads it, wrap the epoch keys anew")
		return nil
	}
	return j.rewrapHost(ctx, r.op, r.op.Host.ID, want, j.o.Identity)
}

// nothingRemoved fails where recipients are to be removed that are not there.
func (j *job) nothingRemoved(o RecipientOptions, have, removes []string) error {
	if j.command != "recipient remove" || len(removes) == len(uniq(o.Recipients)) {
		return nil
	}
	for _, r := range o.Recipients {
		if !slices.Contains(have, r) {
			return fault.WithHint(fmt.Errorf("%.24s... is not among the recipients", r),
				"see which are: "+j.vaultik("recipient list"))
		}
	}
	return nil
}

func uniq(list []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(list)))
}

// missingFrom are the texts of all that are not in list.
func missingFrom(list, all []string) (out []string) {
	for _, s := range all {
		if !slices.Contains(list, s) {
			out = append(out, s)
		}
	}
	return out
}

// RewrapKeys wraps the epoch keys of all hosts for the recipients that the owner has signed for
// them now. It needs an identity that opens them; recipients that no snapshot and no
// configuration names have to be given.
func (e *Engine) RewrapKeys(ctx context.Context, recipients []string,
	sink events.Sink) (events.Totals, error) {
	j := e.begin("recipient rewrap", sink)
	return j.told(ctx, func() error { return j.rewrap(ctx, recipients) })
}

func (j *job) rewrap(ctx context.Context, given []string) error {
	id, err := j.needIdentity()
	if err != nil {
		return err
	}
	known := map[snapshot.Sum]keys.Recipients{}
	note := func(list []string) error {
		rs, err := keys.ParseRecipients(list)
		if err == nil {
			known[rs.Sum()] = rs
		}
		return err
	}
	if len(given) > 0 {
		if err := note(given); err != nil {
			return err
		}
	}
	op, err := j.openStore(ctx, backends.Options{})
	if err != nil {
		return err
	}
	defer op.Close()
	if op.Mirror {
		return mirrorAlone(op, "wrap epoch keys")
	}
	if conf, err := j.config(); err == nil && !conf.Recipients.IsZero() {
		known[conf.Recipients.Sum()] = conf.Recipients
	}
	op.Store.WithoutBlobs = true
	cat, err := j.catalog(ctx, op)
	if err != nil {
		return err
	}
	var failed []error
	for _, h := range op.Store.Trust.Hosts {
		sum, signed := h.SignedFor()
		if !signed || !h.Revoked.IsZero() || !h.Has(snapshot.RoleWrite) {
			continue
		}
		newest := newestOf(cat, h.Host)
		if len(newest) == 0 {
			continue // nothing that it saved is to be read
		}
		for _, r := range newest {
			if root, _, err := cat.wholeRoot(ctx, r, id); err == nil {
				_ = note(root.Recipients) // what is none of these is not what was signed
			}
		}
		if known[sum].IsZero() {
			err = fault.WithHint(fmt.Errorf("the recipients of host %s are not known here: "+
				"their sum is %s", h.Host, sum),
				"back up on that host first, or give them: --recipient AGE1...")
		} else {
			err = j.rewrapHost(ctx, op, h.Host, known[sum], id)
		}
		if err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// rewrapHost adds a wrapping, for these recipients, of each epoch key of a host that a snapshot
// for others needs. Wrappings that are there stay: manifests name them.
func (j *job) rewrapHost(ctx context.Context, op *opened, host layout.HostID, rs keys.Recipients,
	id *keys.Identity) error {
	loaded, problems, err := op.Store.Manifests(ctx, snapshot.Filter{Host: host})
	if err == nil {
		err = unreachable(problems)
	}
	if err != nil {
		return err
	}
	old, sum := map[layout.Epoch]snapshot.KeyRef{}, snapshot.Sum(rs.Sum())
	for _, l := range loaded {
		if l.Recipients != sum {
			for _, k := range l.Keys {
				old[k.Epoch] = k
			}
		}
	}
	taken := map[layout.Epoch]map[int]bool{}
	prefix := layout.EpochsPrefix(host)
	err = op.Objects.List(ctx, prefix, func(key string, _ int64, _ time.Time) error {
		if o, err := layout.Parse(key); err == nil && o.Kind == layout.KindEpochKey {
			if taken[o.Epoch] == nil {
				taken[o.Epoch] = map[int]bool{}
			}
			taken[o.Epoch][o.N] = true
		}
		return nil
	})
	if err != nil {
		return err
	}
	done := int64(0)
	for epoch, ref := range old {
		n := 1
		for taken[epoch][n] {
			n++
		}
		if err := j.rewrapEpoch(ctx, op, host, ref, n, rs, id); err != nil {
			return fmt.Errorf("%s of host %s wrapped anew, then: %w",
				words.Plural(done, "epoch key", "epoch keys"), host, err)
		}
		done++
	}
	j.Note("host %s: %s wrapped for %s", host, words.Plural(done, "epoch key", "epoch keys"),
		words.Plural(int64(len(rs.Strings())), "recipient", "recipients"))
	return nil
}

func (j *job) rewrapEpoch(ctx context.Context, op *opened, host layout.HostID, ref snapshot.KeyRef,
	n int, rs keys.Recipients, id *keys.Identity) error {
	sealed, err := op.Store.RewrapEpoch(ctx, host, ref, id, rs)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(sealed)
	_, err = op.Backend.Put(ctx, layout.EpochKey(host, ref.Epoch, n), backends.Bytes(sealed, &sum),
		backends.PutOptions{IfAbsent: op.Store.Doc.Safety == ""})
	if errors.Is(err, backends.ErrExists) {
		return fault.WithHint(err, "rerun: "+j.vaultik("recipient rewrap"))
	}
	return err
}

// recipientSet is this host's configuration and store, for its owner.
type recipientSet struct {
	conf *config.Config
	op   *opened
	kit  *keys.Kit // nil where none was asked for
}

// openRecipients opens the store of this host, which backs up; with the owner's kit if one is
// named. Close it.
func (j *job) openRecipients(ctx context.Context, kit string) (_ *recipientSet, err error) {
	r := &recipientSet{}
	if r.conf, err = j.config(); err != nil {
		return nil, err
	}
	if r.op, err = j.openStore(ctx, backends.Options{ReadOnly: kit == ""}); err != nil {
		return nil, err
	}
	if err = r.op.takesBackups(); err == nil && kit != "" {
		r.kit, err = ownersKit(kit, r.op)
	}
	if err != nil {
		_ = r.op.Close()
		return nil, err
	}
	return r, nil
}
