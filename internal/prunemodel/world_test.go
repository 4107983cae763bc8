package prunemodel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"vaultik/vault/gc"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// world is one history: a store, the machines that work on it, and what is on its way to it.
type world struct {
	rng      *rand.Rand
	weak     weakness
	now      time.Duration // the store's clock
	machines []*machine
	flying   []request
	parts    []*part // of each host: what the store has of it
	steps    int
	calm     bool // nothing is held up, lost or killed, and each call is made at once
	sated    bool // retention removes nothing more
	closing  bool // what runs goes on to its end, and nothing new begins
	local    bool // a directory: nothing lags, and nothing arrives later
	lag      time.Duration
	clients  bool // the times of objects are those of the machines that write them
	rough    rough
	mends    bool // what the store loses is put back from a mirror
	mender   *mirror
	broken   error
	told     *strings.Builder // the trace; nil: none
	ids      uint64
	listings int
	// What a scripted test decides: it is called before each call; how far behind listings are;
	// what is removed.
	hook   func(m *machine, call string)
	behind time.Duration
	retain func(all []*gc.Snapshot) gc.Choice
}

// rough is how often things go wrong in a call, in thousandths.
type rough struct{ kill, slow, asleep, paused, late, fail int }

// epoch is when the time of the world begins.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// request is one that the server will serve after its client is gone.
type request struct {
	at    time.Duration
	what  string
	serve func()
}

// machine runs one process at a time.
type machine struct {
	w       *world
	name    string
	skew    time.Duration // how wrong its wall clock is
	stopped time.Duration // for how long its boot clock stood still
	wake    time.Duration // when the store sees its next step
	brink   bool          // more goes wrong than else
	dead    bool          // the process was killed: each call fails until it has ended
	idle    bool          // no process runs
	done    bool
	leaves  bool // the process is killed while its request is on its way
	next    func() (struct{}, bool)
	yield   func(struct{}) bool
}

var (
	errKilled = errors.New("killed")
	errFailed = errors.New("the store did not answer")
)

// broken ends a history.
func (w *world) broke(format string, args ...any) {
	if w.broken == nil {
		w.broken = fmt.Errorf(format, args...)
		w.tell(nil, "BROKEN: "+format, args...)
	}
}

func (w *world) tell(m *machine, format string, args ...any) {
	if w.told == nil {
		return
	}
	who := "store"
	if m != nil {
		who = m.name
	}
	fmt.Fprintf(w.told, "%10s %-8s ", w.now, who)
	fmt.Fprintf(w.told, format+"\n", args...)
}

func (w *world) chance(thousandths int) bool { return w.rng.IntN(1000) < thousandths }

// upTo is a random time in seconds.
func (w *world) upTo(d time.Duration) time.Duration {
	return time.Duration(w.rng.Int64N(int64(d/time.Second)+1)) * time.Second
}

// id is a new name, as a SHA-256 would be.
func (w *world) id() (id [32]byte) {
	w.ids++
	x := w.ids * 0x9e3779b97f4a7c15
	x ^= x >> 31
	binary.BigEndian.PutUint64(id[:], x*0xbf58476d1ce4e5b9)
	binary.BigEndian.PutUint64(id[8:], w.ids)
	return id
}

// machine adds a machine that does this, again and again.
func (w *world) machine(name string, skew time.Duration, process func(m *machine)) *machine {
	m := &machine{w: w, name: name, skew: skew, idle: true}
	m.next, _ = iter.Pull(func(yield func(struct{}) bool) {
		m.yield = yield
		for !w.closing {
			if m.rest() {
				m.idle = false
				process(m)
				m.idle, m.dead = true, false
			}
		}
	})
	w.machines = append(w.machines, m)
	return m
}

// rest waits for the time to start a process. It is set by who has made the machine.
func (m *machine) rest() bool {
	m.yield(struct{}{})
	return !m.w.closing
}

// boot is a clock that counts suspended time, and not that of a paused virtual machine.
func (m *machine) boot() time.Duration { return m.w.now - m.stopped }

func (m *machine) wall() time.Time { return epoch.Add(m.w.now + m.skew) }

// step takes the time of half a call: what follows is done then, unless it is an error.
func (m *machine) step(call string) error {
	w := m.w
	if m.dead {
		return errKilled
	}
	w.steps++
	if w.hook != nil {
		w.hook(m, call)
	}
	if m.dead {
		return errKilled
	}
	if w.calm {
		w.advance(time.Second)
		return nil
	}
	r := w.rough
	if m.brink {
		r.kill, r.asleep, r.paused = 4*r.kill, 4*r.asleep, 4*r.paused
	}
	if w.mends && strings.Contains(call, "delete") {
		r.asleep, r.paused = 0, 0 // putting back cannot know of a request that is held up for days
	}
	if !w.mends && strings.Contains(call, "delete") {
		r.asleep, r.paused = 3*r.asleep, 3*r.paused
	}
	d := time.Duration(w.rng.IntN(20)) * time.Second
	switch n := w.rng.IntN(1000); {
	case n < r.kill:
		w.tell(m, "is killed before: %s", call)
		m.dead = true
		return errKilled
	case n < r.kill+r.slow:
		d = w.upTo(15 * time.Minute)
	case n < r.kill+r.slow+r.asleep:
		d = w.upTo(100 * time.Hour)
		w.tell(m, "is suspended for %v before: %s", d, call)
		w.stir(m, d, call)
	case n < r.kill+r.slow+r.asleep+r.paused:
		d = w.upTo(100 * time.Hour)
		m.stopped += d
		w.tell(m, "is paused for %v before: %s", d, call)
		w.stir(m, d, call)
	}
	m.wake = w.now + d
	m.yield(struct{}{})
	return nil
}

// stir has others work while a machine is about to delete something.
func (w *world) stir(with *machine, within time.Duration, call string) {
	for _, m := range w.machines {
		if m != with && m.idle && w.chance(500) && strings.Contains(call, "delete") {
			m.wake = w.now + w.upTo(within/2)
		}
	}
}

// call has a machine that waits start soon.
func (w *world) call(m *machine, within time.Duration) {
	if m.idle && m.wake > w.now+within {
		m.wake = w.now + w.upTo(within)
	}
}

// hold suspends the machine.
func (m *machine) hold(d time.Duration) {
	if m.w.calm || m.dead {
		return
	}
	m.w.tell(m, "is suspended for %v", d)
	m.wake = m.w.now + d
	m.yield(struct{}{})
}

// read is a call that changes nothing.
func (m *machine) read(call string) error {
	if err := m.step(call); err != nil {
		return err
	}
	if !m.w.calm && m.w.chance(m.w.rough.fail) {
		m.w.tell(m, "gets no answer: %s", call)
		return errFailed
	}
	return nil
}

// send is a call that changes something: the machine may go before it is served, and it may
// be served long after.
func (m *machine) send(call string, serve func()) error {
	if err := m.step(call); err != nil {
		return err
	}
	w := m.w
	if m.leaves {
		w.leave(m, call, serve)
		return errKilled
	}
	if !w.calm && !w.local && w.chance(w.rough.late) {
		kill := w.chance(500)
		if w.chance(700) {
			w.fly(call, serve)
		}
		if kill {
			w.tell(m, "is killed while it waits for: %s", call)
			m.dead = true
			return errKilled
		}
		w.tell(m, "gives up: %s", call)
		return errFailed
	}
	serve()
	return m.step("answer to " + call)
}

// leave has a machine's process end with a request that is served in the next hour.
func (w *world) leave(m *machine, call string, serve func()) {
	m.leaves, m.dead = false, true
	w.flying = append(w.flying, request{w.now + 50*time.Minute, call, serve})
}

// fly leaves a request that is served up to an hour later.
func (w *world) fly(call string, serve func()) {
	w.flying = append(w.flying, request{w.now + w.upTo(time.Hour), call, serve})
}

// serveUntil serves what arrives by then.
func (w *world) serveUntil(t time.Duration) {
	for {
		at := -1
		for i := range w.flying {
			if w.flying[i].at <= t && (at < 0 || w.flying[i].at < w.flying[at].at) {
				at = i
			}
		}
		if at < 0 {
			return
		}
		r := w.flying[at]
		w.flying = slices.Delete(w.flying, at, at+1)
		w.now = max(w.now, r.at)
		w.tell(nil, "serves late: %s", r.what)
		r.serve()
	}
}

func (w *world) advance(d time.Duration) {
	w.serveUntil(w.now + d)
	w.now += d
}

// run lets the machines work, as their steps fall due.
func (w *world) run(steps int) {
	for _, m := range w.machines {
		m.next()
	}
	for w.broken == nil {
		w.closing = w.closing || w.steps > steps
		var m *machine
		for _, o := range w.machines {
			if !o.done && (m == nil || o.wake < m.wake) {
				m = o
			}
		}
		if m == nil {
			break
		}
		w.serveUntil(m.wake)
		if w.broken != nil {
			break
		}
		w.now = max(w.now, m.wake)
		if _, ok := m.next(); !ok {
			m.done = true
		}
	}
	w.end()
}

// end lets every machine's process end: a coroutine must not be left behind.
func (w *world) end() {
	w.closing = true
	for _, m := range w.machines {
		for !m.done {
			m.dead = true
			if _, ok := m.next(); !ok {
				m.done = true
			}
		}
	}
}

// object is a name of the store, whether anything has it or not.
type object struct {
	layout.Object
	key     string
	size    int64
	there   bool
	since   time.Duration // is listed from then on, but for a lag
	gone    time.Duration // until then, but for a lag
	stored  time.Time
	what    any
	needers []*made
	// What a backup knows: the number of its listing that shows it, and that condemns it; the
	// run that has stored it.
	present, doomed int
	own             *backup
}

// part is what the store has of one host.
type part struct {
	world     *world
	host      layout.HostID
	byKey     map[string]*object
	byName    map[string]*object
	all       []*object
	manifests []*made
	head      *snapshot.GC
	headSum   snapshot.Sum
	sets      []*set
	mirrors   bool            // another part, and may be behind it
	accepted  map[string]bool // places of lost manifests that the owner has accepted
}

// made is a manifest that was made, stored or not.
type made struct {
	*snapshot.Loaded
	set     *set
	at      *object
	needs   []*object
	success bool // its backup says that it is saved
	removed bool // by the newest gc object
	lost    bool // by a fault of the store
}

// set is one of a host.
type set struct {
	id       layout.SetID
	hadWhole bool
	dropped  uint64 // all up to this seq were removed
	made     []*made
}

func (w *world) part() *part {
	return &part{world: w, byKey: map[string]*object{}, byName: map[string]*object{}, accepted: map[string]bool{}}
}

func (p *part) object(o layout.Object) *object {
	o.Host = p.host
	key := o.Key()
	x := p.byKey[key]
	if x == nil {
		x = &object{Object: o, key: key}
		p.byKey[key], p.byName[o.Name()], p.all = x, x, append(p.all, x)
	}
	return x
}

// put stores an object.
func (p *part) put(m *machine, x *object, size int64, what any) {
	w := p.world
	if !x.there {
		x.since = w.now
	}
	x.there, x.size, x.what, x.stored = true, size, what, epoch.Add(w.now)
	if w.clients {
		x.stored = m.wall()
	}
	w.tell(m, "has put %s", x)
	switch x.Kind {
	case layout.KindGC:
		p.condemned(what.(*snapshot.GC))
	case layout.KindManifest:
		n := what.(*made)
		n.removed = n.removed || p.removed(n) // it arrives late
		n.set.hadWhole = n.set.hadWhole || n.whole() && !n.removed && !p.condemns(n)
	}
}

func (x *object) String() string {
	if name := x.Name(); name != "" {
		return name[:min(len(name), 10)]
	}
	if x.Kind == layout.KindManifest {
		return fmt.Sprintf("manifest %s/%d", x.Set.String()[:2], x.Seq)
	}
	return fmt.Sprintf("gc object %d", x.Seq)
}

// list calls fn for each object of a kind that a listing shows.
func (p *part) list(fn func(x *object)) {
	t := p.world.now - p.world.behind
	if p.world.lag > 0 && !p.world.calm && p.world.chance(500) {
		t -= p.world.upTo(p.world.lag)
	}
	for _, x := range p.all {
		if x.since <= t && (x.there || t < x.gone) && x.what != nil {
			fn(x)
		}
	}
}

// remove deletes an object, and sees what that breaks.
func (p *part) remove(x *object) {
	if !x.there {
		return
	}
	x.there, x.gone = false, p.world.now
	p.world.tell(nil, "has deleted %s", x)
	if x.Kind == layout.KindManifest {
		if m := x.what.(*made); !m.removed && !m.lost {
			p.world.broke("%s was deleted, and no gc object says so", x)
		}
		return
	}
	for _, m := range x.needers {
		if m.success && !m.removed && !m.lost {
			p.world.broke("%s was deleted, which saved snapshot %s needs", x, m.at)
		}
	}
	if len(x.needers) > 0 {
		p.checkSets()
	}
}

// condemned takes note of a new gc object.
func (p *part) condemned(g *snapshot.GC) {
	if p.head != nil && g.Seq < p.head.Seq {
		return // a mirror gets it late
	}
	p.head = g
	for _, m := range p.manifests {
		was := m.removed
		m.removed = p.removed(m)
		if was && !m.removed {
			p.world.broke("gc object %d does not say any more that %s was removed", g.Seq, m.at)
		}
	}
	for _, s := range p.sets {
		for _, r := range g.Removed {
			if r.Set == s.id && s.dropped < r.Seq { // as somebody wanted
				s.dropped, s.hadWhole = r.Seq, s.whole()
			}
		}
	}
	p.checkSets()
}

// removed reports whether the newest gc object says so of a manifest.
func (p *part) removed(m *made) bool {
	return p.head != nil && slices.ContainsFunc(p.head.Pruned, func(r snapshot.Pruned) bool {
		return r.Set == m.Set && r.From <= m.Seq && m.Seq <= r.To
	})
}

// condemns reports whether the newest gc object condemns anything that a manifest needs: it came
// too late then, and its backup does not take it for saved.
func (p *part) condemns(m *made) (yes bool) {
	if p.head != nil {
		p.each(p.head, func(x *object, _ bool) { yes = yes || slices.Contains(m.needs, x) })
	}
	return yes
}

// checkSets sees whether a set that had a whole snapshot has none.
func (p *part) checkSets() {
	for _, s := range p.sets {
		if s.hadWhole && !p.mirrors && !s.whole() {
			for _, m := range s.made {
				p.world.tell(nil, "%s: removed %v, there %v, lost %v, saved %v; without %v", m.at, m.removed, m.at.there, m.lost, m.success, m.gone())
			}
			p.world.broke("no snapshot of set %s is whole any more", s.id.String()[:2])
		}
	}
}

// whole reports whether a set has a whole snapshot.
func (s *set) whole() bool {
	return slices.ContainsFunc(s.made, func(m *made) bool { return !m.removed && m.whole() })
}

// whole reports whether a manifest and all that it needs is there.
func (m *made) whole() bool {
	return m.at.there && m.at.what == m && !slices.ContainsFunc(m.needs, func(x *object) bool { return !x.there })
}
