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
	"vaultik/internal/fault"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// OwnerOptions say how the owner signs something, and who is asked.
type OwnerOptions struct {
	Kit   string      // file with the recovery kit
	Agree func() bool // whether what was told is right; nil: nobody is asked
}

// ErrNotAgreed says that somebody was asked and did not say yes: nothing was changed.
var ErrNotAgreed error = notAgreed{}

type notAgreed struct{}

func (notAgreed) Error() string    { return "not confirmed: nothing was changed" }
func (notAgreed) Exit() fault.Code { return fault.Failed }

// maxSigns is how often a list is signed anew since another owner's command was faster.
const maxSigns = 5

// signTrust writes a trust list that follows the newest one that was ever seen, as edit
// changes it, signed by the owner. Where another list is in its place by then, edit is asked to
// change that one.
func (j *job) signTrust(ctx context.Context, op *opened, kit *keys.Kit,
	edit func(*snapshot.Trust) error) error {
	var err error
	for range maxSigns {
		if err = j.signNext(ctx, op, kit, edit); !errors.Is(err, backends.ErrExists) {
			return err
		}
		st, oerr := snapshot.OpenStore(ctx, op.Objects, snapshot.Pin{
			Owner: kit.Owner.Public().Fingerprint(), TrustSeq: op.Store.TrustSeq,
			TrustSum: op.Store.TrustSum})
		if oerr != nil {
			return oerr
		}
		op.Store = st
	}
	return fault.WithHint(err, "rerun the same command")
}

// signNext is one attempt of signTrust: [backends.ErrExists] if the place is taken.
func (j *job) signNext(ctx context.Context, op *opened, kit *keys.Kit,
	edit func(*snapshot.Trust) error) error {
	t := op.Store.Trust
	t.Hosts, t.Lost = slices.Clone(t.Hosts), slices.Clone(t.Lost) // edit changes them
	last := newestTrust(op)
	prev, err := last.Hash()
	if err != nil {
		return j.badSeen()
	}
	t.Seq, t.Prev, t.Time = last.Seq+1, prev, time.Now()
	if err := edit(&t); err != nil {
		return err
	}
	b, err := snapshot.EncodeTrust(t, kit.Owner)
	if err != nil {
		return err
	}
	info, err := op.Backend.Info(ctx)
	if err != nil {
		return err
	}
	sum, key := sha256.Sum256(b), layout.Trust(t.Seq)
	if !info.ConditionalPut {
		key = layout.Weak(key, sum)
	}
	_, err = op.Backend.Put(ctx, key, backends.Bytes(b, &sum),
		backends.PutOptions{IfAbsent: info.ConditionalPut})
	if errors.Is(err, backends.ErrExists) {
		return fmt.Errorf("trust list %d was written meanwhile: %w", t.Seq, err)
	}
	if err != nil {
		return fmt.Errorf("write trust list: %w", err)
	}
	st, err := snapshot.OpenStore(ctx, op.Objects, snapshot.Pin{
		Owner: kit.Owner.Public().Fingerprint(), TrustSeq: t.Seq, TrustSum: fmt.Sprintf("%x", sum)})
	if err != nil {
		return fmt.Errorf("read back the trust list: %w", err)
	}
	op.Store = st
	return j.state.UpdateSeen(func(seen *config.Seen) error {
		seen.NoteTrust(st.Doc.Store, config.Point{Seq: st.TrustSeq, Sum: st.TrustSum})
		return nil
	})
}

// newestTrust is the newest trust list, be it that the store has it no longer.
func newestTrust(op *opened) config.Point {
	p := config.Point{Seq: op.Store.TrustSeq, Sum: op.Store.TrustSum}
	if seen := op.Seen.Trust(op.Store.Doc.Store); seen.Seq > p.Seq {
		return seen
	}
	return p
}
