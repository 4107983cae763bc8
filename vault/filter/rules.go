package filter

import (
	"fmt"
	"path/filepath"
	"strings"

	"vaultik/vault/fs"
	"vaultik/vault/page"
)

// Rules are everything that decides what of a set is saved, but for
// fs.WalkOptions.OneFS. Filled in once, they are read only; [Rules.Walk] is for
// one walk. In the order in which they decide about an entry:
//
//  1. LeaveOut is left out.
//  2. What was named (Keep) is kept, with the directories above it.
//  3. In a directory with a tag only the tag is kept.
//  4. The last pattern that matches decides: those in Before come first, then
//     those in ignore files, the outer ones before the inner ones, then After.
//  5. A file over Larger is left out, but for ignore files that are obeyed: a snapshot
//     without them could not tell what it has not from what was left out.
type Rules struct {
	Before []*List // ignore files can take back what these match
	After  []*List // these decide over ignore files
	Ignore bool    // files called IgnoreFile are obeyed
	Tags   []Tag
	Larger Limit

	Anyone bool              // may have made tags and ignore files; else not everybody in directories that all may write to
	Warn   func(text string) // of what is not obeyed, though nothing is wrong with it

	own   map[string]string // entries left out, and what they are
	other []ownDir          // the same, under whatever path
	roots map[string]bool   // entries that were named
	above map[string]bool   // directories above them
}

// Limit is the largest file that is saved.
type Limit struct {
	Bytes  int64
	Source string // of the setting; "": none
}

// Reason is the rule that left an entry out, or let it in.
type Reason struct {
	By           *Pattern // nil: another rule
	Rule, Source string
}

func (r Reason) String() string {
	switch {
	case r.By != nil:
		return r.By.String()
	case r.Source != "":
		return r.Rule + ", " + r.Source
	default:
		return r.Rule
	}
}

// LeaveOut leaves out what stands at an absolute path, whatever else is said.
func (r *Rules) LeaveOut(path, what string) {
	if r.own == nil {
		r.own = map[string]string{}
	}
	r.own[entryPath(path)] = what
}

// LeaveOutDir excludes a directory wherever it is found, even if it is mounted in two
// places. met, which may be nil, is told of it, in the goroutine of the walk.
func (r *Rules) LeaveOutDir(dir fs.Stat, what string, met func(path string)) {
	if dir.Ino != 0 { // else nothing tells it from others
		r.other = append(r.other, ownDir{dir, what, met})
	}
}

// ownDir is a directory that is left out.
type ownDir struct {
	stat fs.Stat
	what string
	met  func(path string)
}

// isOther reports which directory that is left out an entry is, nil for none.
func (r *Rules) isOther(st *fs.Stat) *ownDir {
	for i := range r.other {
		if st.Type == page.Dir && r.other[i].stat.SameFile(st) {
			return &r.other[i]
		}
	}
	return nil
}

// Keep says that an absolute path was named: it is kept whatever the patterns say.
func (r *Rules) Keep(path string) {
	if r.roots == nil {
		r.roots, r.above = map[string]bool{}, map[string]bool{}
	}
	path = filepath.Clean(path)
	r.roots[entryPath(path)] = true
	for path != "/" {
		path = filepath.Dir(path)
		if r.above[entryPath(path)] {
			return
		}
		r.above[entryPath(path)] = true
	}
}

func entryPath(path string) string {
	if path == "/" {
		return "."
	}
	return strings.TrimPrefix(path, "/")
}

// Match reports whether a pattern matches an absolute path, and which one, as
// [List.Match] does. Ignore files are not looked at.
func (r *Rules) Match(path string, isDir bool) (matched bool, by *Pattern) {
	for _, lists := range [][]*List{r.After, r.Before} {
		if matched, by = last(lists, entryPath(path), isDir); by != nil {
			break
		}
	}
	return matched, by
}

// Empties is the pattern that leaves out all that is in a directory, however it is named;
// nil for none. Ignore files are not looked at.
func (r *Rules) Empties(dir string) *Pattern {
	if matched, by := r.Match(dir, true); matched {
		return by
	}
	for _, lists := range [][]*List{r.Before, r.After} {
		for _, l := range lists {
			if by := l.takesAll(entryPath(dir), r.takesBack()); by != nil {
				return by
			}
		}
	}
	return nil
}

// takesBack reports whether a pattern lets in what others leave out.
func (r *Rules) takesBack() bool {
	for _, lists := range [][]*List{r.Before, r.After} {
		for _, l := range lists {
			if l.takesBack() {
				return true
			}
		}
	}
	return false
}

// last asks lists from the last to the first.
func last(lists []*List, path string, isDir bool) (matched bool, by *Pattern) {
	for i := len(lists) - 1; i >= 0; i-- {
		if matched, by = lists[i].MatchEntry(path, isDir); by != nil {
			return matched, by
		}
	}
	return false, nil
}

// Told is told of each decision that a rule has made, Keep included.
type Told func(path string, d fs.Decision, why Reason)

// Walk decides during one walk: it is an fs.Chooser. told may be nil.
func (r *Rules) Walk(told Told) *Walk {
	return &Walk{rules: r, told: told, used: map[*Pattern]bool{}}
}

// Walk is where one walk is.
type Walk struct {
	rules  *Rules
	told   Told
	frames []frame // of the directories the walk is in, outermost first; only those with something to say
	asked  verdict // of the entry that the walk was asked about last
	used   map[*Pattern]bool
	doubts int // reported, of ignore files
}

// verdict is what is known of an entry by its name and type alone.
type verdict struct {
	path  string
	kind  page.Type
	what  fs.Decision
	why   Reason
	named bool // or above what was named: no rule leaves it out
}

// frame is a directory the walk is in.
type frame struct {
	dir    string
	ignore *List  // its ignore file; nil: none
	size   int    // of it, in bytes
	sealed bool   // by a tag: nothing in here is visited but
	tag    string // the tag and what was named
	top    bool   // it was named: what the directories above say does not reach it
}

// Wants implements fs.Chooser.
func (w *Walk) Wants(path string, kind page.Type) bool {
	w.leave(path)
	w.asked.of(path, kind)
	if w.byName(&w.asked); w.asked.what != fs.Skip {
		return true
	}
	w.use(w.asked.why.By)
	w.tell(path, fs.Skip, w.asked.why)
	return false
}

// Decide implements fs.Chooser.
func (w *Walk) Decide(path string, st *fs.Stat) fs.Decision {
	v := &w.asked
	if v.kind != st.Type || v.path != path { // the directory did not say what it is, or it was replaced
		w.leave(path)
		v.of(path, st.Type)
		w.byName(v)
	}
	what, why := w.byStat(v, st)
	if why != nil {
		w.use(v.why.By)
		w.tell(path, what, *why)
	}
	return what
}

// use notes that a pattern has decided.
func (w *Walk) use(by *Pattern) {
	if by != nil && !w.used[by] {
		w.used[by] = true
	}
}

// Unused are the patterns that have decided about nothing so far: those of the rules, not
// of ignore files. What was left out by another one first is no use of them.
func (w *Walk) Unused() (out []Pattern) {
	for _, lists := range [][]*List{w.rules.Before, w.rules.After} {
		for _, l := range lists {
			out = append(out, w.unused(l)...)
		}
	}
	return out
}

func (w *Walk) unused(l *List) (out []Pattern) {
	if l == nil {
		return nil
	}
	for _, p := range l.patterns {
		if !w.used[&p.Pattern] {
			out = append(out, p.Pattern)
		}
	}
	return out
}

// End says that the walk is over.
func (w *Walk) End() {
	for len(w.frames) > 0 {
		w.pop()
	}
}

// pop leaves the innermost directory, and warns of lines of its ignore file that look as
// if they were meant for another program, and matched nothing.
func (w *Walk) pop() {
	f := &w.frames[len(w.frames)-1]
	if f.ignore != nil {
		for _, p := range w.unused(f.ignore) {
			if reason := Doubt(p.Text); reason != "" && w.rules.Warn != nil && w.doubts < maxDoubts {
				w.doubts++
				w.rules.Warn(fmt.Sprintf("%s excluded nothing: %s", p, reason))
			}
		}
		for _, p := range f.ignore.patterns {
			delete(w.used, &p.Pattern)
		}
	}
	w.frames = w.frames[:len(w.frames)-1]
}

// maxDoubts is how many doubtful lines of ignore files one walk reports.
const maxDoubts = 10

func (w *Walk) tell(path string, what fs.Decision, why Reason) {
	if w.told != nil && why != (Reason{}) {
		w.told(path, what, why)
	}
}

// anyKind are the types that patterns and ignore files tell apart.
var anyKind = []page.Type{page.Dir, page.File, page.Symlink}

// of begins a verdict on an entry, of which nothing is known yet.
func (v *verdict) of(path string, kind page.Type) {
	v.path, v.kind, v.what, v.named = path, kind, fs.Keep, false
	if v.why != (Reason{}) {
		v.why = Reason{}
	}
}

// byName is what the rules say before the entry is looked at; it is left out if nothing
// that a look could tell would change that. Its kind is "" where it is not known.
func (w *Walk) byName(v *verdict) {
	r := w.rules
	if own, ok := r.own[v.path]; ok {
		v.what, v.why.Rule = fs.Skip, own
		return
	}
	if r.roots[v.path] || r.above[v.path] {
		v.named = true
		return
	}
	if f := w.seal(); f != nil && !(join(f.dir, f.tag) == v.path) {
		v.what = fs.Skip // for the directory's own reason
		return
	}
	if v.kind != "" {
		v.judge(w.match(v.path, v.kind))
		return
	}
	for _, k := range anyKind {
		if v.judge(w.match(v.path, k)); v.what != fs.Skip {
			break
		}
	}
}

func (v *verdict) judge(matched bool, by *Pattern) {
	v.what = fs.Keep
	if v.why.By != by {
		v.why.By = by
	}
	if matched {
		v.what = fs.Skip
	}
}

// byStat is what becomes of an entry of which v is known, and st.
func (w *Walk) byStat(v *verdict, st *fs.Stat) (fs.Decision, *Reason) {
	r := w.rules
	if o := r.isOther(st); o != nil && v.what != fs.Skip {
		if o.met != nil {
			o.met("/" + v.path)
		}
		return fs.Skip, &Reason{Rule: o.what}
	}
	if l := &r.Larger; l.Source != "" && !v.named && v.what != fs.Skip && st.Type == page.File &&
		st.Size > l.Bytes && !r.obeys(v.path, st) {
		return fs.Skip, &Reason{Rule: "too large", Source: l.Source}
	}
	if v.what == fs.Keep && v.why.By == nil {
		return fs.Keep, nil
	}
	return v.what, &v.why
}

// obeys reports whether a file is an ignore file of a size that is read.
func (r *Rules) obeys(path string, st *fs.Stat) bool {
	return r.Ignore && isIgnoreFile(path) && st.Size <= maxIgnoreFile
}

// match finds the last pattern that matches.
func (w *Walk) match(path string, kind page.Type) (matched bool, by *Pattern) {
	isDir := kind == page.Dir
	if matched, by = last(w.rules.After, path, isDir); by != nil {
		return matched, by
	}
	if len(w.frames) > 0 && !(kind == page.File && isIgnoreFile(path)) {
		for i := len(w.frames) - 1; i >= 0; i-- {
			f := &w.frames[i]
			if matched, by = f.ignore.MatchEntry(below(f.dir, path), isDir); by != nil {
				return matched, by
			}
			if f.top {
				break
			}
		}
	}
	return last(w.rules.Before, path, isDir)
}

// seal is the directory with a tag that the walk is in, nil for none.
func (w *Walk) seal() *frame {
	for i := len(w.frames) - 1; i >= 0; i-- {
		if f := &w.frames[i]; f.sealed {
			return f
		} else if f.top {
			break
		}
	}
	return nil
}

// Enter implements fs.Chooser.
func (w *Walk) Enter(d fs.Dir) (visit func(name string) bool, err error) {
	w.leave(d.Path())
	f := frame{dir: d.Path(), top: w.rules.roots[d.Path()]}
	if f.top || w.seal() == nil {
		for i := range w.rules.Tags {
			if t := &w.rules.Tags[i]; w.marks(t, d) {
				f.sealed, f.tag = true, t.Name
				if f.top && w.rules.Warn != nil {
					w.rules.Warn(fmt.Sprintf("%s holds %s: it is saved as a requested path, but its contents are excluded, %s", "/"+d.Path(), t.Name, t.Source))
				}
				if w.told != nil {
					w.told(d.Path(), fs.SkipContents, Reason{Rule: "its contents, since it holds " + t.Name, Source: t.Source})
				}
				break
			}
		}
		if w.rules.Ignore && !f.sealed && d.Has(IgnoreFile) {
			f.ignore, f.size, err = w.readIgnore(d)
			if by := f.ignore.takesAll("", false); by != nil && f.top && w.rules.Warn != nil {
				w.rules.Warn(fmt.Sprintf("%s: it is saved as a requested path, but its contents are excluded by %s", "/"+d.Path(), by))
			}
		}
	}
	if f.top || f.sealed || f.ignore != nil {
		w.frames = append(w.frames, f)
	}
	if s := w.seal(); s != nil {
		dir, tag := s.dir, s.tag
		visit = func(name string) bool {
			path := join(d.Path(), name)
			return w.rules.roots[path] || w.rules.above[path] || dir == d.Path() && name == tag
		}
	}
	return visit, err
}

// leave forgets the directories that path is not in.
func (w *Walk) leave(path string) {
	for n := len(w.frames); n > 0 && below(w.frames[n-1].dir, path) == ""; n-- {
		w.pop()
	}
}

// below is path as seen from dir, "" if it is not in there.
func below(dir, path string) string {
	switch {
	case path == ".":
		return ""
	case dir == ".":
		return path
	case len(path) > len(dir) && path[len(dir)] == '/' && path[:len(dir)] == dir:
		return path[len(dir)+1:]
	}
	return ""
}

func join(dir, name string) string {
	if dir == "." {
		return name
	}
	return dir + "/" + name
}
