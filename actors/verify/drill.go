package verify

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"filippo.io/age"

	"vaultik/actors/survey"
	"vaultik/backends"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
	"vaultik/vault/page"
	"vaultik/vault/plan"
	"vaultik/vault/snapshot"
)

// drillRun is what the parts of a drill share.
type drillRun struct {
	newest []bool // by snapshot: it is the newest of its set
	binds  []bool // by snapshot: the identity must open what it needs
	// late are, by host, the keys of epochs that the identity was no recipient of: a later
	// wrapping gave them to it.
	late [][]age.Identity

	reread atomic.Int64 // blobs that did not open, and were read as a whole
}

// maxReread is how many blobs that do not open are read as a whole: one with a damaged header
// looks like one that is sealed to others. Where there are many, they are.
const maxReread = 4

// drilledSet is a set whose files are restored.
type drilledSet struct {
	from *source
	s    *inspected
	top  page.Ref

	mu    sync.Mutex
	drawn map[string]bool // paths
}

// newDrillRun finds out which snapshots are to be opened: the newest of each set, and those that
// say that they are for the same recipients. Others may be for other keys, since recipients
// change.
func newDrillRun(snaps []inspected, hosts int) *drillRun {
	d := &drillRun{newest: make([]bool, len(snaps)), binds: make([]bool, len(snaps)),
		late: make([][]age.Identity, hosts)}
	type chain struct {
		host layout.HostID
		set  layout.SetID
	}
	heads := map[chain]int{}
	for i := range snaps {
		k := chain{snaps[i].Host, snaps[i].Set}
		if h, ok := heads[k]; !ok || snaps[i].Seq > snaps[h].Seq {
			heads[k] = i
		}
	}
	for i := range snaps {
		h := heads[chain{snaps[i].Host, snaps[i].Set}]
		d.newest[i] = h == i
		d.binds[i] = snaps[h].Recipients == snaps[i].Recipients
	}
	return d
}

// binding reports whether an object is needed by a snapshot that the identity must open.
func (r *verifyRun) binding(i int) bool {
	for _, n := range r.survey.Inventory.Snapshots(i) {
		if r.drill.binds[n] {
			return true
		}
	}
	return false
}

// drill goes through epoch keys, blobs and files. Roots were opened before.
func (n *inspector) drill(ctx context.Context) error {
	opened, err := n.epochKeys(ctx)
	if err != nil {
		return err
	}
	for i := range n.snaps {
		if n.snaps[i].root != nil {
			opened = true
		}
	}
	if !opened && len(n.snaps) > 0 {
		return fmt.Errorf("%w: %w", errNoKeyFits, keys.ErrWrongIdentity)
	}
	n.run.spec.Progress.SetPhase("open the blobs")
	inv := n.run.survey.Inventory
	for i := range inv.Len() {
		if o := inv.At(i); inv.IsBlob(i) && o.State == plan.Present && n.run.looksInto(i) {
			job := &objectCheck{Way: byDrill, Index: i, Host: inv.HostOf(i), Key: inv.Key(i),
				Size: o.Size, Sum: inv.Sum(i)}
			if err := n.submit(checking{Object: job}); err != nil {
				return err
			}
		}
	}
	if err := n.files(); err != nil {
		return err
	}
	if err := n.run.Jobs.Drain(ctx); err != nil {
		return err
	}
	if len(n.run.survey.Bad()) == 0 {
		return nil
	}
	if err := newPages(n).check(ctx); err != nil { // names the files
		return err
	}
	return n.run.Jobs.Drain(ctx)
}

// epochKeys opens all wrappings of the epoch keys that snapshots need, and reports whether any
// opened. One that the identity does not open is none of its own, as long as another wrapping of
// that epoch is.
func (n *inspector) epochKeys(ctx context.Context) (opened bool, err error) {
	n.run.spec.Progress.SetPhase("open the epoch keys")
	needed := map[epochOf]snapshot.KeyRef{}
	for i := range n.snaps {
		for _, k := range n.snaps[i].Keys {
			needed[epochOf{n.snaps[i].HostNum, k.Epoch}] = k
		}
	}
	all := map[epochOf][]*keyDrill{}
	for host, id := range n.run.survey.Inventory.Hosts() {
		err := n.run.spec.Store.ListStream(ctx, layout.EpochsPrefix(id),
			func(o backends.ObjectInfo) error {
				name, err := layout.Parse(o.Key)
				k := epochOf{host, name.Epoch}
				if _, ok := needed[k]; ok && err == nil && name.Kind == layout.KindEpochKey {
					all[k] = append(all[k], &keyDrill{Key: o.Key, Size: o.Size, Host: host,
						Epoch: name.Epoch, N: name.N, Opened: &openedKey{}})
				}
				return nil
			})
		if err != nil {
			return false, fmt.Errorf("list the store: %w", err)
		}
	}
	for _, wraps := range all {
		for _, w := range wraps {
			if err := n.submit(checking{Key: w}); err != nil {
				return false, err
			}
		}
	}
	if err := n.run.Jobs.Drain(ctx); err != nil {
		return false, err
	}
	for k, wraps := range all {
		if n.epochKey(needed[k], wraps) {
			opened = true
		}
	}
	return opened, nil
}

// epochOf names an epoch of a host.
type epochOf struct {
	host  int // by number
	epoch layout.Epoch
}

// epochKey takes what became of the wrappings of one epoch key, and reports whether one opened.
func (n *inspector) epochKey(ref snapshot.KeyRef, wraps []*keyDrill) bool {
	var id age.Identity
	var wrong *keyDrill
	late := true
	for _, w := range wraps {
		switch {
		case w.Opened.err == nil:
			id = w.Opened.id
			late = late && w.N != 0
		case isWrongIdentity(w.Opened.err):
			if w.N == ref.N {
				wrong = w
			}
		default:
			n.keyWrong(w, w.Opened.err)
		}
	}
	if id != nil {
		if late {
			host := wraps[0].Host
			n.run.drill.late[host] = append(n.run.drill.late[host], id)
		}
		return true
	}
	if wrong != nil {
		n.keyWrong(wrong, survey.ErrSealed)
	}
	return false
}

// keyWrong reports a wrapping of an epoch key, unless only snapshots need it that need not open.
func (n *inspector) keyWrong(w *keyDrill, err error) {
	inv := n.run.survey.Inventory
	name := layout.Object{Kind: layout.KindEpochKey, Host: inv.Hosts()[w.Host], Epoch: w.Epoch,
		N: w.N}
	i, ok := inv.Find(name)
	switch {
	case !ok: // no manifest pins it
		n.aside.Tell(&problemFound{survey.Of(err, w.Key)})
	case inv.At(i).State == plan.Bad:
	case !errors.Is(err, survey.ErrSealed) || n.run.binding(i):
		n.run.survey.ObjectError(i, err)
	}
}

// files has some files of the newest snapshot of each set restored.
func (n *inspector) files() error {
	n.run.spec.Progress.SetPhase("restore files")
	p := newPages(n)
	for i := range n.snaps {
		s := &n.snaps[i]
		if !n.run.drill.newest[i] || s.root == nil || s.root.Top == nil {
			continue
		}
		set := &drilledSet{from: p.source(s), s: s, top: s.root.Top.Ref(),
			drawn: map[string]bool{}}
		for range n.run.spec.Drill.Files {
			job := checking{File: &fileDrill{Of: set, Seed: randomSeed()}}
			if err := n.submit(job); err != nil {
				return err
			}
		}
	}
	return nil
}

func randomSeed() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return binary.LittleEndian.Uint64(b[:])
}

// fileDrilled takes what became of a file.
func (j *verifyJob) fileDrilled(f *fileDrill, res *checkDone, err error) {
	d := &j.run.report.Drilled
	switch {
	case err != nil:
		p := survey.Of(err, res.Key, f.Of.s.ID())
		p.Paths = res.Paths
		j.problem(p)
		if name, err := layout.Parse(res.Key); err == nil {
			if i, ok := j.run.survey.Inventory.Find(name); ok {
				j.run.survey.SetBad(i)
			}
		}
	case res.File:
		d.Files++
		d.FileBytes += res.Bytes
	case res.Large:
		d.Large++
	}
}
