package prunemodel

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"vaultik/vault/blob"
	"vaultik/vault/gc"
	"vaultik/vault/snapshot"
)

// script is a history that is told call by call: one host with two sets, and pruners with short
// times, of which the newest whole snapshot of a set stays.
type script struct {
	*world
	t      *testing.T
	h      *host
	one    *set
	two    *set
	prune0 *machine
	prune1 *machine
}

// waits is what the scripts' pruners wait, and a little.
const waits = 25 * time.Minute

func newScript(t *testing.T, weak weakness) *script {
	w := &world{rng: rand.New(rand.NewPCG(1, 2)), weak: weak, calm: true, told: &strings.Builder{}}
	h := w.host("host", 2)
	w.retain = func(all []*gc.Snapshot) (c gc.Choice) {
		for i, s := range all {
			newest := i+1 == len(all) || all[i+1].Place.Set != s.Place.Set
			newer := slices.ContainsFunc(all[i+1:], func(o *gc.Snapshot) bool {
				return o.Place.Set == s.Place.Set && w.whole(o)
			})
			if !newest && newer {
				c.Expire = append(c.Expire, s.Sum)
			}
		}
		return c
	}
	t.Cleanup(w.end)
	return &script{world: w, t: t, h: h, one: h.part.sets[0], two: h.part.sets[1],
		prune0: &machine{w: w, name: "prune0"}, prune1: &machine{w: w, name: "prune1"}}
}

// backup backs up a set with these contents.
func (s *script) backup(of *set, contents ...int) error {
	s.h.files[of] = contents
	err := s.h.backup(of)
	s.h.dead = false
	return err
}

// mustBackup backs up content after content, so that each one has a blob of its own.
func (s *script) mustBackup(of *set, contents ...int) *made {
	s.t.Helper()
	for i := range contents {
		if err := s.backup(of, slices.Clone(contents[:i+1])...); err != nil {
			s.t.Fatal(err)
		}
	}
	return of.made[len(of.made)-1]
}

// prune prunes once, by the times of a pruner that waits the shortest time.
func (s *script) prune(m *machine) {
	_, _ = s.pruneOne(m, s.h.part, gc.Times{Grace: 20 * time.Minute}, nil)
}

// at does something once, before the machine's first call of this kind from now on.
func (s *script) at(m *machine, call string, do func()) {
	s.hook = func(by *machine, what string) {
		if by == m && strings.HasPrefix(what, call) {
			s.hook = nil
			do()
		}
	}
}

// condemnedList has a list condemned of which all blobs stay, since the sets need them in other
// ways. It returns what is to be backed up for the same list to be wanted again.
func (s *script) condemnedList() (list *object, again []int) {
	s.t.Helper()
	again = []int{0, 1, 2, 3, 4, 5, 6, 7}
	of := map[blob.Name]int{}
	m := s.mustBackup(s.one, again...)
	for _, c := range again {
		of[blob.Name(s.h.index[c].at.Sum)] = c
	}
	without := -1
	for _, x := range m.needs {
		if blobs, ok := x.what.([]snapshot.BlobSize); ok && len(blobs) > 1 {
			list, without = x, of[blobs[0].Name]
		}
	}
	if list == nil {
		s.t.Fatal("no list is of several blobs")
	}
	s.mustBackup(s.two, slices.DeleteFunc(slices.Clone(again), func(c int) bool { return c == without })...)
	s.mustBackup(s.one, without)
	s.prune(s.prune0)
	if !s.dooms(list) {
		s.t.Fatalf("%s is not condemned:\n%s", list, s.told)
	}
	return list, again
}

// dooms reports whether the newest gc object condemns an object.
func (s *script) dooms(x *object) (yes bool) {
	s.h.part.each(s.h.part.head, func(y *object, _ bool) { yes = yes || x == y })
	return yes
}

// held is what happens to the host when it is about to put its manifest: for 73 hours nothing,
// and prune deletes what it has stored. It has a snapshot that is whole.
func (s *script) held(then func()) error {
	s.mustBackup(s.one, 1)
	s.at(s.h.machine, "put manifest", func() {
		s.prune(s.prune0)
		s.advance(73 * time.Hour)
		s.prune(s.prune0)
		then()
	})
	return s.backup(s.one, 1, 2)
}

// Each history that broke the protocol as it was first specified and built breaks nothing now,
// and still does without the rule that was made because of it.
func TestTraces(t *testing.T) {
	for name, c := range map[string]struct {
		without weakness
		tell    func(s *script)
	}{
		"two pruners, one stopped while it deletes a list": {weakness{forgotten: true}, func(s *script) {
			list, again := s.condemnedList()
			s.advance(waits)
			s.at(s.prune0, "delete "+list.String(), func() {
				s.prune(s.prune1)
				s.advance(waits)
				s.prune(s.prune1)
				s.mustBackup(s.one, again...)
			})
			s.prune(s.prune0)
		}},
		"a list is put again under its condemned name": {weakness{noSalt: true}, func(s *script) {
			list, again := s.condemnedList()
			s.advance(waits)
			s.at(s.prune0, "delete "+list.String(), func() {
				s.mustBackup(s.one, again...)
			})
			s.prune(s.prune0)
		}},
		"a lagging list shows a list that was deleted": {weakness{forgotten: true}, func(s *script) {
			_, again := s.condemnedList()
			s.advance(waits)
			s.prune(s.prune0)
			s.prune(s.prune0)
			s.behind = 5 * time.Minute
			_ = s.backup(s.one, again...)
			s.behind = 0
		}},
		"a snapshot is put back from a mirror, whose objects are condemned": {weakness{keepsCondemned: true}, func(s *script) {
			m := s.mirror(s.h)
			lost := s.mustBackup(s.one, 1)
			if err := m.copy(); err != nil {
				s.t.Fatal(err)
			}
			s.mustBackup(s.one, 2)
			lost.lost, s.h.part.accepted[lost.at.key] = true, true
			lost.at.there, lost.at.gone = false, s.now
			s.prune(s.prune0)
			s.at(m.machine, "put back manifest", func() {
				s.advance(waits)
				s.prune(s.prune0)
			})
			m.mend()
		}},
		"a manifest is served after its host was killed and prune has deleted": {weakness{blind: true}, func(s *script) {
			s.mustBackup(s.one, 1)
			s.at(s.h.machine, "put manifest", func() { s.h.leaves = true })
			if err := s.backup(s.one, 1, 2); err == nil {
				s.t.Fatal("the host was not killed")
			}
			s.prune(s.prune0)
			s.advance(waits)
			s.prune(s.prune0)
			s.advance(time.Hour)
			s.prune(s.prune0)
		}},
		"a crash between a late manifest and the second look": {weakness{blind: true}, func(s *script) {
			err := s.held(func() {
				s.at(s.h.machine, "look for manifest", func() { s.h.dead = true })
			})
			if err == nil {
				s.t.Fatal("the host was not killed")
			}
			s.prune(s.prune0)
		}},
		"suspended before the manifest": {weakness{noSecondLook: true}, func(s *script) {
			_ = s.held(func() {})
		}},
		"paused before the manifest, by no clock of the machine": {weakness{unfenced: true}, func(s *script) {
			_ = s.held(func() { s.h.stopped += 73 * time.Hour })
		}},
		"a blob is used again while prune deletes it": {weakness{heedless: true}, func(s *script) {
			s.mustBackup(s.one, 1)
			x := s.h.index[1].at
			s.mustBackup(s.one, 2)
			s.prune(s.prune0)
			s.advance(waits)
			s.at(s.prune0, "delete "+x.String(), func() { s.mustBackup(s.one, 1) })
			s.prune(s.prune0)
		}},
		"a manifest that prune has not read": {weakness{stale: true}, func(s *script) {
			s.mustBackup(s.one, 1)
			s.mustBackup(s.one, 2)
			seen := &memory{}
			near := gc.Times{Grace: 20 * time.Minute}
			_, _ = s.pruneOne(s.prune0, s.h.part, near, seen)
			s.mustBackup(s.one, 3)
			_, _ = s.pruneOne(s.prune0, s.h.part, near, seen)
			s.advance(waits)
			_, _ = s.pruneOne(s.prune0, s.h.part, near, seen)
		}},
		"a pruner that writes over what another has recorded": {weakness{overwrites: true}, func(s *script) {
			s.mustBackup(s.one, 1)
			s.mustBackup(s.one, 2)
			s.at(s.prune1, "put gc object", func() {
				s.mustBackup(s.one, 3)
				s.prune(s.prune0)
			})
			s.prune(s.prune1)
		}},
		"no wait between condemning and deleting": {weakness{noGrace: true}, func(s *script) {
			s.mustBackup(s.one, 1)
			s.advance(10 * time.Minute)
			s.at(s.h.machine, "put manifest", func() { s.advance(6 * time.Minute) })
			if err := s.backup(s.one, 1, 2); err != nil {
				s.t.Fatal(err)
			}
			s.behind = 5 * time.Minute // the newest manifest is not listed yet, and its root is
			s.prune(s.prune0)
			s.behind = 0
		}},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			s := newScript(t, weakness{})
			c.tell(s)
			s.settle([]*host{s.h})
			if s.broken != nil {
				t.Errorf("%v:\n%s", s.broken, s.told)
			}
			if s = newScript(t, c.without); s.weak != (weakness{}) {
				if c.tell(s); s.broken == nil {
					t.Errorf("%v: nothing breaks:\n%s", s.weak, s.told)
				}
			}
		})
	}
}
