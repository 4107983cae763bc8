package verify

import (
	"fmt"
	"slices"

	"vaultik/actors/survey"
	"vaultik/vault/blob"
	"vaultik/vault/layout"
	"vaultik/vault/page"
)

// content notes the chunks that a page refers to, and its list pages.
func (w *pageWalk) content(p *page.Page, example string, anyBad bool) {
	lists := func(refs []page.Ref, path string) {
		for k := range refs {
			w.lists[refs[k].ID] = path
		}
	}
	for i := range p.Entries {
		e := &p.Entries[i]
		w.n.run.spec.Progress.SetCurrent(e.Path)
		w.refs(e.XattrRefs, e.Path, anyBad)
		if e.ListLevel == 0 {
			w.refs(e.Refs, e.Path, anyBad)
		} else {
			lists(e.Refs, e.Path)
		}
	}
	switch {
	case p.Kind != page.List:
	case p.Level == 0:
		w.refs(p.Refs, example, anyBad)
	default:
		lists(p.Refs, example)
	}
}

// blob checks a blob that a page names, and returns its number.
func (w *pageWalk) blob(info *blob.Info, path string) (int, bool) {
	key := layout.Blob(w.s.Host, info.Name)
	i, ok := w.n.run.survey.Inventory.FindBlob(w.s.HostNum, info.Name)
	if !ok || !w.needs.has(i) {
		if !w.told[key] && !w.s.Partial {
			w.told[key] = true
			w.unnamed(key, path)
		}
		return 0, false
	}
	if size := w.n.run.survey.Inventory.At(i).Size; size != info.Size {
		w.tell(survey.Problem{
			Kind:      survey.ProblemReference,
			Key:       key,
			Snapshots: []string{w.s.ID()},
			Reason: fmt.Sprintf("it has %d bytes according to a page, %d according to the manifest",
				info.Size, size),
		})
		return 0, false
	}
	return i, true
}

// refs notes the references to chunks of one entry, unless a table that is known has them. A
// drill only asks which entries need something bad.
func (w *pageWalk) refs(refs []page.Ref, path string, anyBad bool) {
	for i := range refs {
		r := &refs[i]
		if r.Hole > 0 {
			continue
		}
		if r.Blob != w.blobAt {
			w.blobAt = r.Blob
			w.num, w.found = w.n.run.survey.Inventory.FindBlob(w.s.HostNum, r.Blob.Name)
			w.table, _ = w.tables.get(tableKey{w.s.HostNum, *r.Blob})
		}
		if !w.found && !w.s.Partial {
			continue // reported already
		}
		if count, isBad := w.bad[w.num]; w.found && anyBad && isBad {
			w.affected(w.num, count, path)
			continue
		}
		if w.n.run.drill == nil && !w.tables.in(w.table, r.Span, r.ID[:]) {
			w.from.waiting.Add(r, place{path, w.s.Num}, 0)
		}
	}
}

// affected tells of an entry that needs a bad blob, of which count entries were named before.
func (w *pageWalk) affected(blob, count int, path string) {
	if w.needy != path {
		w.needy, w.lacks = path, w.lacks[:0]
	}
	if slices.Contains(w.lacks, blob) {
		return
	}
	w.lacks = append(w.lacks, blob)
	key := w.n.run.survey.Inventory.Key(blob)
	if w.n.run.spec.OnAffected != nil {
		w.n.run.spec.OnAffected(path, key)
	}
	if count <= survey.MaxPaths {
		w.bad[blob]++
		w.n.aside.Tell(&pathAffected{key: key, path: path})
	}
}
