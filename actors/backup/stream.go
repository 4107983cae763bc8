package backup

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/asynkron/protoactor-go/actor"

	"vaultik/actors"
	"vaultik/vault/fs"
	"vaultik/vault/page"
)

// ErrEmptyStream says that a stream had no content. That is more often a program
// that failed than what somebody wants to keep.
var ErrEmptyStream = errors.New("no data: no snapshot made")

var (
	errStreamAgain = errors.New("it would have to be read again, but a stream cannot")
	errStreamLost  = errors.New(
		"blobs disappeared from the store during the backup, and a stream cannot be read again",
	)
)

// scanStream announces the stream, below directories that no file system has.
func (s *scanner) scanStream(c actor.Context) error {
	m := s.run.spec.Stream
	if s.streamed {
		return errStreamLost
	}
	s.streamed = true
	dir := m.Stat
	dir.Type, dir.Mode, dir.Size = page.Dir, 0o755, 0
	made := func(it fs.WalkItem, r io.Reader) error {
		err := s.item(c, it)
		last := len(s.leaf) - 1
		s.leaf[last].Made, s.leaf[last].Stream = true, r
		s.sums[last] = fs.StatSum{}
		return err
	}
	if err := made(fs.WalkItem{Path: ".", Stat: dir, Implied: true}, nil); err != nil {
		return err
	}
	for i, b := range []byte(m.Path) {
		if b == '/' {
			above := fs.WalkItem{Path: m.Path[:i], Stat: dir, Implied: true}
			if err := made(above, nil); err != nil {
				return err
			}
		}
	}
	return made(fs.WalkItem{Path: m.Path, Stat: m.Stat}, m.Source)
}

// made makes an entry that is in no file system.
func (k *chunker) made(t *entryTask, d *entryDone) error {
	t.Stat.Fill(&d.Entry, k.names)
	d.Entry.Path, d.Entry.Implied, d.Racy = t.Path, t.Implied, true
	if t.Stream != nil {
		d.Status = t.status()
		n, err := k.stream(t)
		if err != nil {
			return err
		}
		d.Entry.Size, d.Stat.Size, d.BytesRead = n, n, n
	}
	k.done = append(k.done, *d)
	return nil
}

// stream cuts all of the task's stream.
func (k *chunker) stream(t *entryTask) (int64, error) {
	if k.attempt > 1 {
		return 0, errStreamAgain
	}
	r, stop := abandonable(k.run.reading, t.Stream)
	defer stop()
	n, err := k.cut(r, t.Index)
	switch {
	case k.stopped() != nil:
		return n, k.stopped()
	case err == nil && n == 0:
		return 0, ErrEmptyStream
	}
	return n, err
}

// streamBuffer is how many bytes are read of a stream at once.
const streamBuffer = 256 << 10

// abandonable is r, but a Read that blocks returns when ctx ends. The goroutine that is
// blocked in r stays so until r returns.
func abandonable(ctx context.Context, r io.Reader) (_ io.Reader, stop func()) {
	out, in := io.Pipe()
	go func() {
		_ = in.CloseWithError(actors.Safe(func() error { // nil: io.EOF
			// A plain copy: r may offer another way, which would not stop with the pipe.
			_, err := io.CopyBuffer(struct{ io.Writer }{in}, struct{ io.Reader }{r},
				make([]byte, streamBuffer))
			return err
		}))
	}()
	end := context.AfterFunc(ctx, func() { _ = out.CloseWithError(context.Cause(ctx)) })
	return out, func() {
		end()
		_ = out.Close()
	}
}

// paths are what the root of a stream's snapshot says.
func (m *Stream) paths() []string { return []string{"/" + strings.TrimPrefix(m.Path, "/")} }
