package verify

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"

	"filippo.io/age"

	"vaultik/actors"
	"vaultik/actors/survey"
	"vaultik/backends"
	"vaultik/vault/blob"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
	"vaultik/vault/page"
	"vaultik/vault/snapshot"
)

func isWrongIdentity(err error) bool { return errors.Is(err, keys.ErrWrongIdentity) }

// drill opens a blob with the identity itself: the host seals each blob to it, so that no other
// object is needed to read one. What was sealed before the identity was added opens with the key
// of its epoch.
func (k *checker) drill(o *objectCheck) (done checkDone) {
	fetch := actors.FetchFrom(k.run.spec.Store, k.run.survey.Inventory.Hosts()[o.Host], o.Sum,
		&k.run.survey.Fetched)
	probe := func(ids []age.Identity) error {
		return actors.DamagedIfShort(blob.Probe(k.run.Ctx, o.Sum, o.Size, fetch, ids,
			rand.Int64N))
	}
	done.Err = probe(k.run.spec.Identity.Age())
	if !errors.Is(done.Err, blob.ErrNoIdentity) {
		return done
	}
	late := k.run.drill.late[o.Host]
	if len(late) > 0 {
		done.Err = probe(late)
		done.ByEpoch = done.Err == nil
	}
	if !errors.Is(done.Err, blob.ErrNoIdentity) {
		return done
	}
	if k.run.binding(o.Index) && k.run.drill.reread.Add(1) <= maxReread {
		if whole := k.object(o); whole.Err != nil {
			return whole
		}
	}
	done.Err = survey.ErrSealed
	return done
}

// openKey opens a wrapping of an epoch key.
func (k *checker) openKey(w *keyDrill) (done checkDone) {
	var err error
	var b []byte
	if w.Size > snapshot.MaxEpochKey {
		err = fmt.Errorf("%w: too large, %d bytes", snapshot.ErrDamaged, w.Size)
	} else {
		b, err = backends.ReadRange(k.run.Ctx, k.run.spec.Store, w.Key, 0, w.Size, nil)
		k.run.survey.Fetched.Add(int64(len(b)))
		err = actors.DamagedIfShort(err)
	}
	if err == nil {
		w.Opened.id, err = keys.OpenEpoch(b, k.run.spec.Identity, w.Epoch)
	}
	w.Opened.err = err
	if err != nil && (k.run.Ctx.Err() != nil || actors.StoreGone(err)) {
		done.Err = err
	}
	return done
}

// maxDraws is how many entries are looked at for one file: most of a tree may be directories.
const maxDraws = 32

// restore reads a file of a snapshot, chosen at random, and checks every chunk of it.
func (k *checker) restore(f *fileDrill) (done checkDone) {
	r := rand.New(rand.NewPCG(f.Seed, 0)) //nolint:gosec // it only chooses
	done.Key = layout.Blob(f.Of.s.Host, f.Of.top.Blob.Name)
	tree := &page.Tree{Top: f.Of.top}
	tree.Fetch = func(ctx context.Context, ref page.Ref) ([]byte, error) {
		done.Key = layout.Blob(f.Of.s.Host, ref.Blob.Name) // if it fails, it is this one
		return f.Of.from.reader.Chunk(ctx, ref)
	}
	for range maxDraws {
		e, err := tree.Pick(k.run.Ctx, r.Int64N)
		if err != nil {
			done.Err = err
			return done
		}
		switch {
		case e.Type != page.File || !f.Of.draw(e.Path):
			continue
		case e.Size > MaxDrillFile:
			done.Large = true
			continue
		}
		if done.Err = k.content(tree, e); done.Err != nil {
			done.Paths = []string{e.Path}
			return done
		}
		done.File, done.Bytes = true, e.Size
		return done
	}
	return done
}

// draw reports whether a path was not drawn before.
func (s *drilledSet) draw(path string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	is := s.drawn[path]
	s.drawn[path] = true
	return !is
}

// content reads all of a file. The reader holds each chunk against its id.
func (k *checker) content(tree *page.Tree, e *page.Entry) error {
	k.run.spec.Progress.SetCurrent(e.Path)
	h := sha256.New()
	err := tree.Refs(k.run.Ctx, e, func(ref page.Ref) error {
		if ref.Hole > 0 {
			var zeros [64 << 10]byte
			for n := ref.Hole; n > 0 && e.SHA256 != ""; n -= int64(len(zeros)) {
				_, _ = h.Write(zeros[:min(n, int64(len(zeros)))])
			}
			return nil
		}
		b, err := tree.Fetch(k.run.Ctx, ref)
		if err == nil && e.SHA256 != "" {
			_, _ = h.Write(b)
		}
		return err
	})
	if err == nil && len(e.XattrRefs) > 0 {
		_, err = tree.Xattrs(k.run.Ctx, e)
	}
	if err == nil && e.SHA256 != "" && hex.EncodeToString(h.Sum(nil)) != e.SHA256 {
		err = fmt.Errorf("%w: the SHA-256 of a file is not the recorded one", page.ErrDamaged)
	}
	return err
}
