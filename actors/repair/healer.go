package repair

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"strings"

	"vaultik/actors"
	"vaultik/actors/survey"
	"vaultik/backends"
	"vaultik/vault/layout"
	"vaultik/vault/parity"
)

// healer puts back one object a lease, or makes its parity. Nothing is put whose SHA-256 was
// not checked before.
type healer struct {
	run   *run
	coder parity.Coder
}

func (h *healer) heal(_ int, job healing) (out Outcome) {
	h.run.spec.Faults.Downloader()
	o := &h.run.spec.Objects[job.Index]
	buf, err := h.run.Buffers.Acquire(h.run.Ctx)
	if err != nil {
		return Outcome{Err: err, fatal: true}
	}
	defer h.run.Buffers.Release(buf)
	if o.Parity {
		out = h.makeParity(o, buf.B)
	} else {
		out = h.putBack(o, buf.B)
	}
	out.fatal = out.Err != nil && (h.run.Ctx.Err() != nil || actors.StoreGone(out.Err))
	return out
}

// putBack puts an object from the first source that has it.
func (h *healer) putBack(o *Object, buf []byte) (out Outcome) {
	b, out := h.find(o, buf)
	if out.Err != nil {
		return out
	}
	out.Bytes = int64(len(b))
	out.Err = h.put(o.Key, b, o.Sum, !o.There)
	return out
}

// find returns good bytes of an object, or what kept each source from giving them.
func (h *healer) find(o *Object, buf []byte) (b []byte, out Outcome) {
	ctx, spec := h.run.Ctx, h.run.spec
	var why []string
	failed := func(err error, missing, other string) bool {
		switch {
		case ctx.Err() != nil || actors.StoreGone(err):
			out.Err = err
			return true
		case errors.Is(err, backends.ErrNotFound):
			why = append(why, missing)
		default:
			why = append(why, other+err.Error())
		}
		return false
	}
	if spec.Mirror != nil {
		b, err := read(ctx, spec.Mirror, o, buf)
		if err == nil {
			return b, Outcome{From: FromMirror}
		}
		if failed(err, "the mirror lacks it, too", "the mirror's: ") {
			return nil, out
		}
	}
	if name, err := layout.Parse(o.Key); err == nil && name.Kind == layout.KindBlob {
		b, sectors, err := h.byParity(o, name)
		if err == nil {
			return b, Outcome{From: FromParity, Sectors: sectors}
		}
		if failed(err, "it has no parity", "its parity: ") {
			return nil, out
		}
	}
	if len(why) == 0 {
		why = append(why, "only a mirror can have it")
	}
	return nil, Outcome{Err: errors.New(strings.Join(why, "; "))}
}

// byParity heals a blob: what is left of it here, or in the mirror, by the parity that
// either has.
func (h *healer) byParity(o *Object, name layout.Object) (b []byte, sectors int, err error) {
	places := []backends.Backend{h.run.spec.Store}
	if h.run.spec.Mirror != nil {
		places = append(places, h.run.spec.Mirror)
	}
	var first error // of the store's own
	for _, of := range places {
		p, err := h.open(of, name)
		if err != nil {
			first = cmp.Or(first, err)
			continue
		}
		for _, from := range places {
			left, err := backends.Head(h.run.Ctx, from, o.Key, o.Size)
			if err != nil && !errors.Is(err, backends.ErrNotFound) {
				first = cmp.Or(first, err)
			}
			b, sectors, err := p.Heal(left)
			if err == nil {
				return b, sectors, nil
			}
			first = cmp.Or(first, err)
		}
	}
	return nil, 0, first
}

// open reads and opens the parity of a blob.
func (h *healer) open(b backends.Backend, name layout.Object) (*parity.Parity, error) {
	key := layout.Parity(name.Host, name.Sum)
	info, err := b.Stat(h.run.Ctx, key)
	if err != nil {
		return nil, err
	}
	if info.Size > parity.MaxSize {
		return nil, parity.ErrDamaged
	}
	raw, err := backends.Head(h.run.Ctx, b, key, info.Size)
	if err != nil {
		return nil, err
	}
	return parity.Open(raw, name.Sum)
}

// read reads an object and checks it: into buf, if it fits.
func read(ctx context.Context, b backends.Backend, o *Object, buf []byte) ([]byte, error) {
	if o.Size > survey.BufferSize {
		buf = nil
	}
	var err error
	for range 2 { // wrong bytes may come from the network
		var got []byte
		if got, err = backends.ReadRange(ctx, b, o.Key, 0, o.Size, buf); err != nil {
			return nil, actors.DamagedIfShort(err)
		}
		if sha256.Sum256(got) == o.Sum {
			return got, nil
		}
		err = actors.ErrWrongSum
	}
	return nil, err
}

// makeParity makes the parity of a blob, which is read for it.
func (h *healer) makeParity(o *Object, buf []byte) (out Outcome) {
	out.From = FromBlob
	name, err := layout.Parse(o.Key)
	if err != nil {
		return Outcome{Err: err}
	}
	if h.run.spec.Dry {
		out.Bytes = parity.Size(o.Size, h.run.spec.Parity)
		return out
	}
	b, err := read(h.run.Ctx, h.run.spec.Store, o, buf)
	if err != nil {
		return Outcome{Err: err}
	}
	x, err := h.coder.Make(nil, b, h.run.spec.Parity)
	if err != nil {
		return Outcome{Err: err}
	}
	out.Bytes = int64(len(x))
	out.Err = h.put(layout.Parity(name.Host, name.Sum), x, sha256.Sum256(x), false)
	return out
}

// put puts an object; if absent, only if nothing stands there by now.
func (h *healer) put(key string, b []byte, sum [32]byte, absent bool) error {
	if h.run.spec.Dry {
		return nil
	}
	h.run.spec.Faults.Uploader(false)
	o := backends.PutOptions{IfAbsent: absent && h.run.spec.Conditional}
	_, err := h.run.spec.Store.Put(h.run.Ctx, key, backends.Bytes(b, &sum), o)
	if errors.Is(err, backends.ErrExists) { // put meanwhile, or not listed: as good as lost
		_, err = h.run.spec.Store.Put(h.run.Ctx, key, backends.Bytes(b, &sum),
			backends.PutOptions{})
	}
	h.run.spec.Faults.Uploader(true)
	return err
}
