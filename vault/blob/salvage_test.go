package blob

import (
	"bytes"
	"context"
	"errors"
	"testing"
)

func TestSalvage(t *testing.T) {
	o, r := classicOwner(), newRand(t)
	plain := mixed(r, 10*ageChunk+5)
	sealed, err := Seal(nil, plain, o.recipients, o.epoch)
	if err != nil {
		t.Fatal(err)
	}
	start := headerLen(sealed.Bytes)
	at := func(chunk int) int { return start + chunk*ageEncChunk + 100 }
	flip := func(offs ...int) func([]byte) []byte {
		return func(b []byte) []byte {
			for _, off := range offs {
				b[off] ^= 1
			}
			return b
		}
	}
	for _, c := range []struct {
		name string
		edit func([]byte) []byte
		lost []int // chunks of age
	}{
		{"nothing", flip(), nil},
		{"one part", flip(at(3)), []int{3}},
		{"two parts", flip(at(0), at(9)), []int{0, 9}},
		{"the end", flip(start + 10*ageEncChunk), []int{10}},
		{"a part and the end", flip(at(7), start+10*ageEncChunk), []int{7, 8, 9, 10}},
		{"cut off", func(b []byte) []byte { return b[:at(5)] }, []int{5, 6, 7, 8, 9, 10}},
		{"cut off between parts", func(b []byte) []byte { return b[:start+5*ageEncChunk] }, []int{5, 6, 7, 8, 9, 10}},
		{"longer", func(b []byte) []byte { return append(b, "more"...) }, nil},
	} {
		got, err := Salvage(sealed.Info, c.edit(bytes.Clone(sealed.Bytes)), o.ids)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		lost := map[int]bool{}
		for _, i := range c.lost {
			lost[i] = true
		}
		for i := range 11 {
			off := int64(i * ageChunk)
			n := min(ageChunk, int64(len(plain))-off)
			b, err := got.Plain(context.Background(), off, n)
			switch {
			case lost[i] && !errors.Is(err, ErrDamaged):
				t.Errorf("%s: part %d: %v", c.name, i, err)
			case !lost[i] && (err != nil || !bytes.Equal(b, plain[off:off+n])):
				t.Errorf("%s: part %d is lost: %v", c.name, i, err)
			}
		}
	}
	for name, edit := range map[string]func([]byte) []byte{
		"header": flip(30), "nonce": flip(start - 1), "no header": func(b []byte) []byte { return b[:start-1] },
	} {
		if _, err := Salvage(sealed.Info, edit(bytes.Clone(sealed.Bytes)), o.ids); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Salvage(sealed.Info, sealed.Bytes, nil); !errors.Is(err, ErrNoIdentity) {
		t.Errorf("no identity: %v", err)
	}
}
