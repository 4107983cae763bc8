package chunk

import (
	"errors"
	"fmt"
	"io"

	chunkers "github.com/PlakarKorp/go-cdc-chunkers"
	_ "github.com/PlakarKorp/go-cdc-chunkers/chunkers/fastcdc" // registers FastCDC
)

// Cutter cuts streams into chunks. It belongs to one goroutine.
//
// Its buffer is allocated by the first Next, so that an unused cutter costs nothing,
// and is kept for all later streams.
type Cutter struct {
	params Params
	key    [32]byte
	src    io.Reader
	lib    *chunkers.Chunker
	err    error // what Next returns from now on
}

// NewCutter returns a cutter without a stream: Next is io.EOF until Reset.
func NewCutter(p Params, key [32]byte) (*Cutter, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	return &Cutter{params: p, key: key, err: io.EOF}, nil
}

// Reset starts a new stream and forgets the rest of the last one.
func (c *Cutter) Reset(r io.Reader) {
	c.src, c.err = r, nil
	if c.lib != nil {
		c.lib.Reset(r)
	}
}

// Next returns the next chunk, of at most Params.Max bytes and never empty. It
// is valid until the next call of Next or Reset and may not be changed. After
// the last chunk the error is io.EOF; an error of the stream is returned as it
// is, and bytes that were read but not yet cut are lost with it.
func (c *Cutter) Next() ([]byte, error) {
	if c.err != nil {
		return nil, c.err
	}
	if c.lib == nil {
		if err := c.start(); err != nil {
			c.err = err
			return nil, err
		}
	}
	data, err := c.lib.Next()
	// The library returns a last chunk below the minimum together with io.EOF,
	// others without, and an empty slice with io.EOF for an empty stream.
	c.err = err
	switch end := err == io.EOF; { //nolint:errorlint // only the bare io.EOF is the end of a stream
	case len(data) > 0 && (end || err == nil):
		return data, nil
	case !end && errors.Is(err, io.EOF):
		// Our caller must not mistake it for the end and store a part as the whole.
		c.err = fmt.Errorf("cut stream: %w: %s", io.ErrUnexpectedEOF, err.Error())
	case err == nil:
		c.err = fmt.Errorf("cut stream: %w", io.ErrNoProgress)
	}
	return nil, c.err
}

func (c *Cutter) start() (err error) {
	opts := &chunkers.ChunkerOpts{
		MinSize: c.params.Min, NormalSize: c.params.Avg, MaxSize: c.params.Max, Key: c.key[:],
	}
	// The smallest buffer the library takes: twice as much is 9 % faster here,
	// but cutters are many and memory is what runs out first.
	c.lib, err = chunkers.NewChunkerBuffer(c.params.Alg, c.src, opts, make([]byte, c.params.Max))
	if err != nil {
		return fmt.Errorf("start chunker: %w", err)
	}
	return nil
}
