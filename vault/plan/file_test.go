package plan

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"vaultik/vault/blob"
	"vaultik/vault/fs"
	"vaultik/vault/page"
)

// extents makes a file of letters: a chunk of 10 bytes for c, a hole of 100 for h.
func extents(letters string) (out []Extent) {
	at := int64(0)
	for _, l := range letters {
		e := Extent{At: at}
		if l == 'h' {
			e.Ref.Hole = 100
		} else {
			e.Ref.Blob, e.Ref.Span = &blob.Info{}, blob.Span{Off: uint32(at), Len: 10}
		}
		at += e.Ref.Length()
		out = append(out, e)
	}
	return out
}

var errPiece, errOther = errors.New("piece"), errors.New("other")

// script drives one file. Each step is told what to expect of Next, in short.
type script struct {
	t     *testing.T
	batch *Batch
	f     *File
	all   []Extent // so far
}

func newScript(t *testing.T, letters string, open bool) *script {
	t.Helper()
	s := &script{t: t, batch: NewBatch(1), all: extents(letters)}
	var next Next
	s.f, next = NewFile(s.batch, Contents{Extents: s.all, Open: open})
	if next.Several != (len(letters) > 1) || short(next) != "" {
		t.Fatalf("a new file: %+v", next)
	}
	return s
}

// begun is a script of a file whose contents are wanted.
func begun(t *testing.T, letters string, w Wanted) *script {
	t.Helper()
	s := newScript(t, letters, false)
	s.f.Want(w)
	return s
}

// short is what there is to do, as "check 2 fetch 1 commit +10 written 10 credit".
func short(n Next) string {
	var out []string
	add := func(ok bool, format string, args ...any) {
		if ok {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	add(len(n.Check) > 0, "check %d", len(n.Check))
	add(len(n.Fetch) > 0, "fetch %d", len(n.Fetch))
	add(n.Finish != NoFinish, "%s", [...]string{"", "commit", "abort", "keep"}[n.Finish])
	add(n.Counted > 0, "+%d", n.Counted)
	add(n.Written > 0, "written %d", n.Written)
	add(n.Reused > 0, "reused %d", n.Reused)
	add(n.Credits > 0, "credit %d", n.Credits)
	add(n.Slot, "slot")
	return strings.Join(out, " ")
}

func (s *script) is(n Next, want string, phase Phase) {
	s.t.Helper()
	if got := short(n); got != want || s.f.Phase() != phase {
		s.t.Fatalf("%s: %q, want %s: %q", s.f.Phase(), got, phase, want)
	}
}

func (s *script) done(e Ending, credits string, status Status, err error) {
	s.t.Helper()
	if got := short(s.f.End(e)); got != credits {
		s.t.Fatalf("the end: %q, want %q", got, credits)
	}
	if r := s.f.Result(); r.Status != status || !errors.Is(r.Err, err) || err == nil && r.Err != nil {
		s.t.Fatalf("%d, %v; want %d, %v", r.Status, r.Err, status, err)
	}
}

func restored(from Source) Wanted { return Wanted{Status: StatusRestored, Source: from} }

func TestFile_EndsWherePlaced(t *testing.T) {
	for _, c := range []struct {
		name string
		e    Ending
		want Status
		err  error
	}{
		{"unchanged", Ending{Status: StatusUnchanged}, StatusUnchanged, nil},
		{"kept", Ending{Status: StatusKept, Why: "it is there"}, StatusKept, nil},
		{"made, or a link", Ending{Status: StatusReplaced}, StatusReplaced, nil},
		{"cannot be made", Ending{Status: StatusRestored, Err: errPiece}, StatusFailed, errPiece},
		{"a socket", Ending{Status: StatusIgnored, Err: errPiece}, StatusIgnored, errPiece},
	} {
		for letters, slot := range map[string]string{"": "", "c": "", "cch": " slot"} {
			s := newScript(t, letters, false)
			s.done(c.e, "credit 1"+slot, c.want, c.err)
			if s.f.Result().Why != c.e.Why || !s.f.Over() {
				t.Errorf("%s: %+v", c.name, s.f.Result())
			}
		}
	}
}

func TestFile_FetchesFromTheStore(t *testing.T) {
	s := newScript(t, "c", false)
	s.is(s.f.Want(restored(NoSource)), "fetch 1", Fetching)
	if !s.f.Alone() {
		t.Error("one extent can be made in one go")
	}
	s.done(Ending{Status: AsPlanned}, "credit 1", StatusRestored, nil)

	s = newScript(t, "hchch", false)
	s.is(s.f.Want(Wanted{Status: StatusReplaced, Why: "has another size"}), "fetch 2", Fetching)
	s.is(s.f.Wrote(10), "+10 written 10", Fetching)
	s.is(s.f.Wrote(10), "commit +10 written 10", Finishing)
	s.done(Ending{Status: AsPlanned}, "credit 1 slot", StatusReplaced, nil)
	if r := s.f.Result(); r.Why != "has another size" || s.f.Counted() != 20 || s.f.Data() != 20 {
		t.Errorf("%+v", r)
	}

	s = newScript(t, "hh", false) // nothing is written
	s.is(s.f.Want(restored(NoSource)), "commit", Finishing)
}

func TestFile_FetchFails(t *testing.T) {
	s := begun(t, "cc", restored(NoSource))
	s.is(s.f.GiveUp(errPiece), "", Fetching)
	s.is(s.f.GiveUp(nil), "abort", Finishing) // because of what went wrong before
	s.done(Ending{Status: StatusFailed}, "credit 1 slot", StatusFailed, errPiece)

	s = begun(t, "cc", restored(NoSource))
	s.f.Fail(errPiece)
	s.f.Fail(errOther)
	s.is(s.f.Wrote(10), "", Fetching) // it does not count
	s.is(s.f.Wrote(10), "abort", Finishing)
	s.done(Ending{Status: StatusFailed, Half: true}, "credit 1 slot", StatusFailed, errPiece)
	if !strings.HasSuffix(s.f.Result().Err.Error(), HalfDone) {
		t.Error(s.f.Result().Err)
	}

	s = begun(t, "c", restored(NoSource))
	s.done(Ending{Status: AsPlanned, Err: errOther}, "credit 1", StatusFailed, errOther)
}

func TestFile_Sources(t *testing.T) {
	s := newScript(t, "chc", false) // a part: what is there stays, a hole is made
	s.is(s.f.Want(restored(FromPart)), "check 3", Fetching)
	s.is(s.f.Checked(s.all[:2], s.all[2:]), "fetch 1 +10 reused 10", Fetching)
	s.is(s.f.Wrote(10), "commit +10 written 10", Finishing)

	s = newScript(t, "chc", false) // another file: what it has is written
	s.is(s.f.Want(restored(FromFile)), "check 3", Fetching)
	s.is(s.f.Checked(s.all, nil), "commit +20 written 20 reused 20", Finishing)

	s = newScript(t, "ch", false) // a hole that the source does not have needs no store
	s.is(s.f.Want(restored(SourceInPlace)), "check 2", Fetching)
	s.is(s.f.Checked(s.all[:1], s.all[1:]), "commit +10 reused 10", Finishing)
	if s.f.Missing() != 1 {
		t.Errorf("%d missing", s.f.Missing())
	}

	s = begun(t, "cc", restored(SourceInPlace)) // what failed is not fetched
	s.f.Fail(errPiece)
	s.is(s.f.Checked(s.all[:1], s.all[1:]), "abort", Finishing)

	alone := []bool{NoSource: true, FromFile: true, FromPart: false, SourceInPlace: true}
	for from, alone := range alone {
		s = begun(t, "c", restored(Source(from)))
		if s.f.Alone() != alone {
			t.Errorf("source %d: alone %v", from, !alone)
		}
	}
	s = begun(t, "c", restored(FromFile))
	s.is(s.f.Checked(s.all, nil), "", Fetching) // it was made at once
	s.done(Ending{Status: AsPlanned}, "credit 1", StatusRestored, nil)
}

func TestFile_Compares(t *testing.T) {
	doubt := Wanted{Status: StatusReplaced, Source: FromFile, Keep: true, There: fs.Stat{Ino: 7}}
	s := newScript(t, "chc", false)
	s.is(s.f.Want(doubt), "check 3", Comparing)
	s.is(s.f.Checked(s.all[:1], nil), "", Comparing)
	s.is(s.f.Checked(s.all[1:], nil), "keep +120 reused 20", Finishing)
	s.done(Ending{Status: StatusUnchanged}, "credit 1 slot", StatusUnchanged, nil)

	s = begun(t, "chch", doubt)
	s.is(s.f.Checked(s.all[:1], s.all[1:2]), "", Comparing)
	s.is(s.f.Checked(s.all[3:], s.all[2:3]), "check 1 fetch 1", Fetching) // a new file after all
	s.is(s.f.Checked(s.all[:1], nil), "+10 written 10 reused 10", Fetching)
	s.is(s.f.Wrote(10), "commit +10 written 10", Finishing)
	s.done(Ending{Status: AsPlanned}, "credit 1 slot", StatusReplaced, nil)
	if s.f.Result().There.Ino != 7 {
		t.Error("what stood there is not known")
	}

	s = begun(t, "h", doubt)
	s.is(s.f.Checked(nil, s.all), "commit", Finishing)

	s = newScript(t, "h", true) // a later batch is done when its extents are
	rest := extents("hc")[1:]
	s.f.Add(NewBatch(1), Contents{Extents: rest})
	s.f.Want(doubt)
	s.is(s.f.Checked(s.all, rest), "fetch 1", Fetching)
	s.is(s.f.Wrote(10), "commit +10 written 10 credit 1", Finishing)

	s = newScript(t, "c", true) // the rest is not known: nothing can be kept
	s.is(s.f.Want(doubt), "check 1", Fetching)
}

func TestFile_Open(t *testing.T) {
	s := newScript(t, "c", true)
	more := NewBatch(2)
	next := s.f.Add(more, Contents{Extents: extents("ch"), Open: true})
	s.is(next, "", Placing)
	if !next.Several {
		t.Error("it holds a slot now")
	}
	s.is(s.f.Want(restored(NoSource)), "fetch 2", Fetching)
	s.is(s.f.Wrote(10), "+10 written 10", Fetching)
	s.is(s.f.Wrote(10), "+10 written 10", Fetching)
	if !more.Done() {
		t.Error("its extents are one thing of the batch")
	}
	bring := func(letters string) Next {
		return s.f.Add(NewBatch(1), Contents{Extents: extents(letters), Open: true})
	}
	s.is(bring("hh"), "credit 1", Fetching) // holes of a new file need nothing
	s.is(bring("c"), "fetch 1", Fetching)
	s.is(s.f.Add(NewBatch(1), Contents{Err: errPiece}), "", Fetching)
	s.is(s.f.Wrote(10), "abort credit 2", Finishing)
	s.done(Ending{Status: StatusFailed}, "credit 1 slot", StatusFailed, errPiece)

	s = newScript(t, "c", true) // what comes when it is done
	s.f.End(Ending{Status: StatusKept})
	if s.f.Over() {
		t.Error("more will come")
	}
	next = s.f.Add(NewBatch(1), Contents{Extents: extents("cc")})
	s.is(next, "credit 1 slot", Done)
	if !next.Several || !s.f.Over() {
		t.Errorf("%+v", next)
	}

	s = newScript(t, "c", true) // the end frees the batches that wait
	s.f.Add(NewBatch(1), Contents{Extents: extents("c")})
	s.done(Ending{Status: StatusUnchanged}, "credit 2 slot", StatusUnchanged, nil)
}

// Each phase refuses what cannot happen in it.
func TestFile_Refuses(t *testing.T) {
	in := map[string]func() *script{
		"placing":   func() *script { return newScript(t, "cc", false) },
		"comparing": func() *script { return begun(t, "cc", Wanted{Source: FromFile, Keep: true}) },
		"fetching":  func() *script { return begun(t, "cc", restored(NoSource)) },
		"finishing": func() *script { return begun(t, "hh", restored(NoSource)) },
		"done": func() *script {
			s := newScript(t, "cc", false)
			s.f.End(Ending{Status: StatusKept})
			return s
		},
	}
	events := map[string]func(*script){
		"want":    func(s *script) { s.f.Want(restored(NoSource)) },
		"checked": func(s *script) { s.f.Checked(s.all[:1], nil) },
		"wrote":   func(s *script) { s.f.Wrote(10) },
		"give-up": func(s *script) { s.f.GiveUp(errPiece) },
		"fail":    func(s *script) { s.f.Fail(errPiece) },
		"end":     func(s *script) { s.f.End(Ending{Status: StatusRestored}) },
		"planned": func(s *script) { s.f.End(Ending{Status: AsPlanned}) },
		"add":     func(s *script) { s.f.Add(NewBatch(1), Contents{}) },
		"result":  func(s *script) { s.f.Result() },
		"wanted":  func(s *script) { s.f.Wanted() },
	}
	legal := map[string][]string{
		"placing":   {"want", "end"},
		"comparing": {"checked", "wanted"},
		"fetching":  {"wrote", "give-up", "fail", "wanted"},
		"finishing": {"end", "planned", "wanted"},
		"done":      {"result"},
	}
	for phase, start := range in {
		for event, do := range events {
			s := start()
			if got := s.f.Phase().String(); got != phase {
				t.Fatalf("%s, want %s", got, phase)
			}
			if ok := slices.Contains(legal[phase], event); panics(func() { do(s) }) == ok {
				t.Errorf("%s, %s: allowed %v, want %v", phase, event, !ok, ok)
			}
		}
	}
	s := begun(t, "cc", restored(NoSource))
	s.f.Wrote(10)
	s.f.Wrote(10)
	if !panics(func() { s.f.Wrote(10) }) {
		t.Error("the same extent can be written twice")
	}
	s = begun(t, "cc", Wanted{Source: FromFile, Keep: true})
	if !panics(func() { s.f.Checked(extents("ccc"), nil) }) {
		t.Error("more can be compared than there is")
	}
	s = begun(t, "cc", restored(NoSource))
	if !panics(func() { s.f.GiveUp(nil) }) {
		t.Error("an extent can be given up for no reason")
	}
}

func panics(do func()) (yes bool) {
	defer func() { yes = recover() != nil }()
	do()
	return false
}

func TestCountdown(t *testing.T) {
	b := NewBatch(2)
	if b.Done() || !b.Done() || !panics(func() { b.Done() }) {
		t.Error("a batch is done once")
	}
	var d Dir
	d.Add()
	d.Add()
	if d.Done() || d.Close() || !d.Done() || !panics(func() { d.Done() }) {
		t.Error("a directory is done when it was left and all in it is done")
	}
	if !panics(d.Add) || !panics(func() { d.Close() }) {
		t.Error("nothing comes after a directory was left")
	}
	var empty Dir
	if !empty.Close() {
		t.Error("nothing is in it")
	}
}

func TestFetch_FramesComeAgain(t *testing.T) {
	l := &Lease[int]{Frames: []Frame[int]{{Off: 0}, {Off: 1}, {Off: 2}}}
	f := NewFetch(l)
	if !f.Came(1) || f.Came(1) {
		t.Error("a frame comes once")
	}
	if lost := f.Ended(1, 2); len(lost) != 1 || lost[0].Off != 2 || f.Over() {
		t.Errorf("lost %v", lost)
	}
	if f.Came(2) {
		t.Error("a frame that is lost comes")
	}
	if lost := f.Ended(0, 1); len(lost) != 1 || !f.Over() {
		t.Errorf("lost %v", lost)
	}
	if !panics(func() { f.Ended(0, 1) }) {
		t.Error("more ended than there is")
	}
}

func entryOf(hl string, t page.Type) *page.Entry { return &page.Entry{HL: hl, Type: t} }
