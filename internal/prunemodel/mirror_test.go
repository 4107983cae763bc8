package prunemodel

import (
	"context"
	"slices"
	"time"

	"vaultik/vault/gc"
	"vaultik/vault/layout"
)

// mirror is a machine that copies one host's part of the store to another store, follows what is
// deleted there, and puts back what was lost there.
type mirror struct {
	*machine
	from, to *part
	home     *host
}

func (w *world) mirror(h *host) *mirror {
	to := w.part()
	to.mirrors, to.host = true, h.part.host
	for _, s := range h.part.sets {
		to.sets = append(to.sets, &set{id: s.id})
	}
	m := &mirror{from: h.part, to: to, home: h}
	m.machine = w.machine("mirror", w.skew(), func(*machine) {
		if w.chance(500) {
			m.mend()
		}
		if m.copy() == nil && m.follow() == nil {
			m.mend()
		}
		m.wake = w.now + w.upTo([]time.Duration{time.Hour, 20 * time.Hour, 100 * time.Hour}[w.rng.IntN(3)])
	})
	w.mends, w.mender = true, m
	return m
}

// copy brings over the snapshots that are not there yet: the manifest last.
func (m *mirror) copy() error {
	if err := m.read("list manifests to copy"); err != nil {
		return err
	}
	var all []*made
	m.from.list(func(x *object) {
		if x.Kind == layout.KindManifest && x.there && !m.to.object(x.Object).there {
			all = append(all, x.what.(*made))
		}
	})
	for _, from := range all {
		if from.removed || !from.success {
			continue
		}
		i := slices.Index(m.from.sets, from.set)
		to := &made{Loaded: from.Loaded, set: m.to.sets[i], at: m.to.object(from.at.Object)}
		whole := true
		for _, x := range from.needs {
			y := m.to.object(x.Object)
			to.needs = append(to.needs, y)
			if y.there || !whole {
				continue
			}
			if whole = x.there; !whole {
				continue
			}
			if err := m.send("copy "+x.String(), func() { m.to.put(m.machine, y, x.size, x.what) }); err != nil {
				return err
			}
		}
		if !whole || from.lost {
			continue
		}
		err := m.send("copy "+from.at.String(), func() {
			for _, y := range to.needs {
				y.needers = append(y.needers, to)
			}
			m.to.manifests, to.set.made = append(m.to.manifests, to), append(to.set.made, to)
			m.to.put(m.machine, to.at, 500, to)
			to.success = to.whole()
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// follow does what prune has done to the source. It deletes nothing else.
func (m *mirror) follow() error {
	if err := m.read("read the newest gc object"); err != nil {
		return err
	}
	g := m.from.head
	if g == nil {
		return nil
	}
	at := m.to.object(layout.Object{Kind: layout.KindGC, Seq: g.Seq})
	if !at.there {
		if err := m.send("copy "+at.String(), func() { m.to.put(m.machine, at, 600, g) }); err != nil {
			return err
		}
	}
	var gone []*object
	for _, n := range m.to.manifests {
		if n.removed && n.at.there {
			gone = append(gone, n.at)
		}
	}
	m.to.each(g, func(x *object, deleted bool) {
		if deleted && x.there && !slices.ContainsFunc(x.needers, func(n *made) bool { return !n.removed }) {
			gone = append(gone, x)
		}
	})
	for _, x := range gone {
		if err := m.send("delete in the mirror "+x.String(), func() { m.to.remove(x) }); err != nil {
			return err
		}
	}
	return nil
}

// mend puts back a manifest that the source has lost, and what it needs.
func (m *mirror) mend() {
	for _, n := range m.from.manifests {
		if !n.lost || n.removed || !m.to.object(n.at.Object).there {
			continue
		}
		if !m.to.object(n.at.Object).what.(*made).whole() {
			continue
		}
		m.w.tell(m.machine, "puts back %s", n.at)
		for range 5 {
			if done, err := m.putBack(n); done || err != nil {
				break
			}
		}
	}
}

// putBack is done if nothing was condemned since it took the names off the list.
func (m *mirror) putBack(n *made) (done bool, err error) {
	seq, err := m.takeOff(n)
	if err != nil {
		return false, err
	}
	if !m.w.weak.hasty {
		start := m.boot()
		for m.boot()-start < gc.Settled {
			m.wake = m.w.now + gc.Settled
			if m.w.calm {
				m.w.advance(gc.Settled)
			} else {
				m.yield(struct{}{})
			}
			if err := m.read("waits"); err != nil {
				return false, err
			}
		}
	}
	m.w.gather(m.machine)
	for _, x := range n.needs {
		if err := m.read("ask for " + x.String()); err != nil {
			return false, err
		}
		if y := m.to.object(x.Object); !x.there {
			if err := m.send("put back "+x.String(), func() { m.from.put(m.machine, x, y.size, y.what) }); err != nil {
				return false, err
			}
		}
	}
	err = m.send("put back "+n.at.String(), func() {
		if !n.at.there {
			m.from.put(m.machine, n.at, 500, n)
		}
	})
	if err != nil {
		return false, err
	}
	if n.at.what != n {
		m.w.tell(m.machine, "finds another one in the place of %s", n.at)
		return true, nil
	}
	if err := m.read("ask for the next gc object"); err != nil {
		return false, err
	}
	if m.from.head != nil && m.from.head.Seq != seq && !m.w.weak.keepsCondemned {
		return false, nil
	}
	n.lost = false
	if n.removed {
		return true, nil
	}
	m.w.tell(m.machine, "has put back %s", n.at)
	delete(m.from.accepted, n.at.key)
	if !n.whole() {
		m.w.broke("%s is put back, and %v is not there", n.at, n.gone())
	}
	return true, nil
}

// takeOff takes what a manifest needs off the condemned list, and returns the newest gc object's
// seq.
func (m *mirror) takeOff(n *made) (seq uint64, err error) {
	if err := m.read("read the newest gc object"); err != nil {
		return 0, err
	}
	g := m.from.head
	if g == nil {
		return 0, nil
	}
	needed := map[string]bool{}
	for _, x := range n.needs {
		needed[x.Name()] = true
	}
	if m.w.weak.keepsCondemned {
		return g.Seq, nil
	}
	store := &gcStore{machine: m.machine, part: m.from, memory: &memory{}}
	seq, err = gc.Release(context.Background(), store, m.from.host, m.wall(), func(o layout.Object) bool {
		return needed[o.Name()]
	})
	if seq == 0 {
		seq = g.Seq
	}
	return seq, err
}

// lost reports whether there is something to put back.
func (p *part) lost() bool {
	return slices.ContainsFunc(p.manifests, func(m *made) bool { return m.lost && !m.removed })
}

// lose is a fault of the store: a manifest is gone. The owner accepts that. A newer one is whole:
// prune may have removed others because of the one that is lost.
func (w *world) lose(p *part) {
	for _, m := range p.manifests {
		newer := slices.ContainsFunc(m.set.made, func(o *made) bool {
			return o.Seq > m.Seq && o.success && !o.removed && o.whole()
		})
		if newer && m.success && !m.removed && !m.lost && m.at.there && w.chance(300) {
			w.tell(nil, "loses %s", m.at)
			m.lost, p.accepted[m.at.key] = true, true
			m.at.there, m.at.gone = false, w.now
			m.set.hadWhole = m.set.whole()
			for _, o := range w.machines {
				if w.chance(700) {
					w.call(o, 3*time.Hour)
				}
			}
			return
		}
	}
}
