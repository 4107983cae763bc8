package prunemodel

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"time"

	"vaultik/vault/gc"
	"vaultik/vault/layout"
)

// weakness is what the machines leave out of the rules.
type weakness struct {
	stale          bool // prune does not read again which manifests there are
	alone          bool // prune does not look whether another one prunes
	heedless       bool // backups do not read what is condemned
	noSalt         bool // backups put lists again whose names are condemned
	blind          bool // retention counts snapshots that are not whole
	unfenced       bool // a backup does not notice that its machine was paused
	noSecondLook   bool // nor that the manifest was acknowledged late
	wallClock      bool // ages are taken by the pruner's clock
	noGrace        bool // prune deletes at once, beside running backups
	forgotten      bool // names do not stay condemned after they were deleted
	overwrites     bool // prune writes its gc object over another's
	keepsCondemned bool // putting back leaves names in the condemned list
	hasty          bool // nor does it wait for those who do not know that yet
}

// weakened says what is left out.
func (w weakness) String() string {
	v := reflect.ValueOf(w)
	for i := range v.NumField() {
		if v.Field(i).Bool() {
			return v.Type().Field(i).Name
		}
	}
	return "as it is"
}

// history is one world to its end. It returns what was broken in it.
func history(seed uint64, weak weakness, told *strings.Builder) (steps int, err error) {
	w := &world{rng: rand.New(rand.NewPCG(seed, 1)), weak: weak, told: told}
	r := w.rng
	w.local = r.IntN(4) == 0
	w.clients = !w.local && r.IntN(6) == 0
	if !w.local && r.IntN(3) > 0 {
		w.lag = time.Duration(5+5*r.IntN(2)) * time.Minute
	}
	w.rough = rough{kill: r.IntN(15), slow: r.IntN(60), asleep: r.IntN(12), paused: r.IntN(12), late: r.IntN(40), fail: r.IntN(10)}
	if r.IntN(8) == 0 {
		w.rough = rough{}
	}
	hosts := 1 + max(0, r.IntN(12)-8)
	var all []*host
	for i := range hosts {
		h := w.host(fmt.Sprintf("host%d", i), 1+r.IntN(2))
		h.prunes = r.IntN(2) == 0
		h.wake = w.upTo(time.Hour)
		all = append(all, h)
	}
	for i := range 1 + r.IntN(2) {
		w.pruner(fmt.Sprintf("prune%d", i)).wake = w.upTo(100 * time.Hour)
	}
	if r.IntN(3) == 0 {
		w.mirror(all[0]).wake = w.upTo(20 * time.Hour)
	}
	w.tell(nil, "seed %d, weakened: %v; local %v, lag %v, times of clients %v, %+v", seed, weak, w.local, w.lag, w.clients, w.rough)
	w.run(500 * hosts)
	w.settle(all)
	return w.steps, w.broken
}

// settle ends a history in peace: what is on its way arrives, each host backs up once more, and
// after a quiet month with a few prunes nothing is left that nothing needs.
func (w *world) settle(hosts []*host) {
	w.calm = true
	w.advance(2 * time.Hour)
	if w.mends { // until what it began is done, prune may stop at a snapshot that is not whole
		w.mender.dead = false
		w.mender.mend()
	}
	for _, h := range hosts {
		h.dead = false
		h.stopped = 0
		for _, s := range h.part.sets {
			if w.broken != nil {
				return
			}
			if err := h.backup(s); err != nil && w.broken == nil {
				w.broke("the last backup of set %s: %v", s.id.String()[:2], err)
			} else if newest := s.made[len(s.made)-1]; !newest.success || !newest.whole() {
				w.broke("after the last backup the newest snapshot of set %s is not whole", s.id.String()[:2])
			}
		}
	}
	peace := w.now
	quiet := &machine{w: w, name: "last"}
	for round := range 6 {
		w.sated = round > 1
		for _, h := range hosts {
			if w.broken != nil {
				return
			}
			times := gc.Far
			times.Heeded = w.clients
			if _, err := w.pruneOne(quiet, h.part, times, nil); err != nil {
				w.broke("the last prune: %v", err)
			}
			if w.clients {
				for _, s := range h.part.sets {
					_ = h.backup(s)
				}
			}
		}
		w.advance(8 * 24 * time.Hour)
	}
	for _, h := range hosts {
		h.part.checkFreed(peace)
	}
}

// checkFreed sees whether anything is left of before that no snapshot needs.
func (p *part) checkFreed(since time.Duration) {
	for _, x := range p.all {
		if !x.there || x.Name() == "" || x.since > since || p.world.broken != nil {
			continue
		}
		used := false
		for _, m := range p.manifests {
			used = used || m.at.there && m.at.what == m && m.uses(x)
		}
		if !used {
			p.world.broke("%s is still there, and nothing needs it", x)
		}
	}
}

// uses reports whether an object is live because of a manifest: what it names, and every wrapping
// of its epochs' keys.
func (m *made) uses(x *object) bool {
	for _, o := range m.needs {
		if o == x || o.Kind == x.Kind && x.Kind == layout.KindEpochKey && o.Epoch == x.Epoch {
			return true
		}
	}
	return false
}
