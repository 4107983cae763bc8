package blob

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"

	"vaultik/vault/keys"
)

// Fetch reads n bytes at off of a sealed object: exactly as many, or an error,
// which the Reader passes on. It may be called from several goroutines at once.
// The Reader keeps the slice for a while and does not change it; nobody else may either.
type Fetch func(ctx context.Context, off, n int64) ([]byte, error)

const (
	// headFetch holds the header for up to five post-quantum stanzas and what
	// age reads ahead, in bytes.
	headFetch = 12 << 10
	readAhead = 4 << 10 // of age's header parser, a bufio.Reader

	// wholeFetch is the size up to which a blob is fetched at once: as much as
	// arrives during one round trip, where a head and a tail would take two.
	wholeFetch = 256 << 10
)

// Open reads the beginning of a sealed blob, checks that it is the one meant by
// info and unwraps its key. The identities are tried in order. Further errors:
// those of fetch, and keys.ErrPlugin.
func Open(ctx context.Context, info Info, fetch Fetch, ids []age.Identity) (*Reader, error) {
	r, err := open(ctx, info, fetch, ids)
	return r, info.wrap("open", err)
}

// OpenBytes opens a complete sealed blob and decrypts it in place: it takes
// whole, and nobody may use it any more, whatever is returned. It is the fastest
// way to read most of a blob. The name is not computed; info.Hdr and age's
// authentication leave nothing for it to find.
func OpenBytes(info Info, whole []byte, ids []age.Identity) (*Reader, error) {
	r, err := openBytes(info, whole, ids)
	return r, info.wrap("open", err)
}

func open(ctx context.Context, info Info, fetch Fetch, ids []age.Identity) (*Reader, error) {
	if err := info.checkSize(); err != nil {
		return nil, err
	}
	r := &Reader{info: info, fetch: fetch}
	if info.Size <= wholeFetch {
		whole, err := r.get(ctx, 0, info.Size)
		if err != nil {
			return nil, err
		}
		return openBytes(info, bytes.Clone(whole), ids)
	}
	head, n, err := r.head(ctx)
	if err != nil {
		return nil, err
	}
	return r, r.unwrap(head, n, ids)
}

// unwrap opens the header, the first n bytes of head.
func (r *Reader) unwrap(head []byte, n int, ids []age.Identity) error {
	fileKey, err := unwrap(r.info, head[:n], ids)
	if err != nil {
		return err
	}
	r.id, r.start = age.NewInjectedFileKeyIdentity(fileKey), int64(n)
	if r.plainSize, err = plainSize(r.info.Size - r.start); err != nil {
		return err
	}
	r.cipher.add(0, head)
	return nil
}

// head fetches the beginning until it holds the header, its length n, and what
// age reads ahead.
func (r *Reader) head(ctx context.Context) (head []byte, n int, err error) {
	for want := min(int64(headFetch), r.info.Size); ; want = min(4*want, r.info.Size) {
		more, err := r.get(ctx, int64(len(head)), want-int64(len(head)))
		if err != nil {
			return nil, 0, err
		}
		head = append(head[:len(head):len(head)], more...)
		n = headerLen(head)
		switch {
		case n > 0 && int64(len(head)) >= min(int64(n+readAhead), r.info.Size):
			return head, n, nil
		case n == 0 && (len(head) >= maxHeader || want == r.info.Size):
			return nil, 0, damaged("no age header")
		}
	}
}

func openBytes(info Info, whole []byte, ids []age.Identity) (*Reader, error) {
	if err := info.checkSize(); err != nil {
		return nil, err
	}
	if int64(len(whole)) != info.Size {
		return nil, damaged("%d bytes, not %d", len(whole), info.Size)
	}
	n := headerLen(whole)
	if n == 0 {
		return nil, damaged("no age header")
	}
	fileKey, err := unwrap(info, whole[:n], ids)
	if err != nil {
		return nil, err
	}
	src, size, err := age.DecryptReaderAt(bytes.NewReader(whole), info.Size, age.NewInjectedFileKeyIdentity(fileKey))
	if err != nil {
		return nil, damaged("%w", err)
	}
	// age copies each 64 KiB and their tag before it gives the plaintext, so what
	// is written never overtakes what is still to be read. age.Decrypt would do
	// too, but allocates as much as it reads.
	plain := whole[:size]
	if got, err := src.ReadAt(plain, 0); int64(got) != size || err != nil && err != io.EOF {
		return nil, damaged("%w", err)
	}
	return &Reader{info: info, whole: true, plain: plain, plainSize: size}, nil
}

// unwrap checks that header, nonce included, is the one meant by info, and only
// then shows it to the identities.
func unwrap(info Info, header []byte, ids []age.Identity) (fileKey []byte, err error) {
	if sum, _, err := HeaderSum(header); err != nil || sum != info.Hdr {
		return nil, damaged("its age header is not the recorded one")
	}
	// One at a time: age gives up at the first identity that fails for any reason other
	// than not matching, such as a hardware key that is not plugged in.
	var first error
	for _, id := range ids {
		fileKey, err := age.DecryptHeader(header, id)
		var none *age.NoIdentityMatchError
		switch {
		case err == nil:
			return fileKey, nil
		case errors.As(err, &none):
		case first == nil && errors.Is(err, keys.ErrPlugin):
			first = err
		case first == nil:
			first = damaged("%w", err)
		}
	}
	if first != nil {
		return nil, first
	}
	return nil, ErrNoIdentity
}

func (i *Info) checkSize() error {
	if i.Size > MaxSize {
		return fmt.Errorf("%w: %d bytes", ErrTooLarge, i.Size)
	}
	if i.Size <= 0 {
		return damaged("%d bytes", i.Size)
	}
	return nil
}

// plainSize is the size of the plaintext in an age payload of n bytes.
func plainSize(n int64) (int64, error) {
	chunks := (n + ageEncChunk - 1) / ageEncChunk
	plain := n - chunks*ageTag
	if n < ageTag || plain != 0 && (plain+ageChunk-1)/ageChunk != chunks {
		return 0, damaged("a payload of %d bytes", n)
	}
	return plain, nil
}
