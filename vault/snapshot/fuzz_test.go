package snapshot

import (
	"bytes"
	"encoding/json"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"vaultik/internal/fuzzbound"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
)

// The signature stands before the parser, so the parsers are fuzzed behind it.

const (
	seedStore = `{"type":"store","v":1,"required":[],"store":"000102030405060708090a0b0c0d0e0f","owner":"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop","created":"2026-05-01T10:00:00Z","safety":""}`
	seedTrust = `{"type":"trust","v":1,"required":[],"store":"000102030405060708090a0b0c0d0e0f","seq":1,"time":"2026-05-01T10:00:00Z","hosts":[{"host":"0102030405060708","key":"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop","roles":["write"],"since":"2026-04-01T10:00:00Z","revoked":"2026-05-01T10:00:00Z","until":{"sets":[{"set":"0102030405060708","seq":3,"sum":"00000000000000000000000000000000000000000000000000000000000000ff"}],"gc":[{"host":"0102030405060708","seq":2,"sum":"00000000000000000000000000000000000000000000000000000000000000fe"}]}}]}`
	seedNeeds = `"keys":[{"epoch":"0102030405060708","n":0,"size":300,"sha256":"00000000000000000000000000000000000000000000000000000000000000ff"}],"lists":[{"name":"00000000000000000000000000000000000000000000000000000000000000fe","size":3,"count":2}],"blobs":[["00000000000000000000000000000000000000000000000000000000000000fd",7]],"count":3,"bytes":70`
	seedMan   = `{"type":"manifest","v":1,"required":[],"store":"000102030405060708090a0b0c0d0e0f","host":"0102030405060708","set":"0102030405060708","seq":1,"time":"2026-05-01T10:00:00Z","complete":true,"tags":["0102030405060708"],"gc":{"seq":1,"sha256":"00000000000000000000000000000000000000000000000000000000000000fc"},"root":{"name":"00000000000000000000000000000000000000000000000000000000000000fb","size":9},` + seedNeeds + `}`
	seedCheck = `{"type":"checkpoint","v":1,"required":[],"store":"000102030405060708090a0b0c0d0e0f","host":"0102030405060708","set":"0102030405060708","seq":3,"id":"01arz3ndektsv4rrffq69g5fav","time":"2026-05-01T10:00:00Z",` + seedNeeds + `}`
	seedNote  = `{"type":"note","v":1,"required":[],"store":"000102030405060708090a0b0c0d0e0f","host":"0102030405060708","id":"01arz3ndektsv4rrffq69g5fav","time":"2026-05-01T10:00:00Z","set":"0102030405060708","seq":3,"sum":"00000000000000000000000000000000000000000000000000000000000000fa","tags":["0102030405060708"],"untags":["0102030405060709"],"pin":true,"unpins":["01arz3ndektsv4rrffq69g5faw"],"sealed":"AQI="}`
	seedNames = `{"type":"tagnames","v":1,"required":[],"tags":[{"id":"0102030405060708","name":"x"},{"id":"0102030405060709","name":{"b64":"/w=="}}]}`
	seedGC    = `{"type":"gc","v":1,"required":[],"store":"000102030405060708090a0b0c0d0e0f","host":"0102030405060708","seq":5,"prev":"00000000000000000000000000000000000000000000000000000000000000f7","others":["00000000000000000000000000000000000000000000000000000000000000f6"],"time":"2026-05-01T10:00:00Z","condemned":[{"first":1,"names":["b/00000000000000000000000000000000000000000000000000000000000000fd","k/0102030405060708/0","n/01arz3ndektsv4rrffq69g5fav"],"lists":[]},` +
		`{"first":1,"deleted":4,"names":[],"lists":[{"name":"00000000000000000000000000000000000000000000000000000000000000f9","size":70,"count":2}]}],` +
		`"pruned":[{"set":"0102030405060708","from":1,"to":2,"sum":"00000000000000000000000000000000000000000000000000000000000000fa"}],` +
		`"dropped":[{"set":"0102030405060708","seq":4,"sum":"00000000000000000000000000000000000000000000000000000000000000f8","reason":"fork"}],` +
		`"removed":[{"set":"0102030405060708","seq":2,"sum":"00000000000000000000000000000000000000000000000000000000000000fa"}]}`
	seedRoot = `{"type":"root","v":1,"required":[],"store":"000102030405060708090a0b0c0d0e0f","owner":"SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","host":"0102030405060708","hostname":"box","set":"0102030405060708","setname":{"b64":"/w=="},"seq":1,"paths":["/etc"],"excludes":[],"tags":[{"id":"0102030405060708","name":"x"}],"tool":"t","started":"2026-05-01T10:00:00Z","finished":"2026-05-01T10:00:00Z","counts":{"files":1,"dirs":2,"symlinks":3,"other":4,"bytes":5,"errors":6},"errors":[{"path":"/x","reason":"y"}],"complete":true,"secret":"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","chunker":{"alg":"fastcdc-v1.0.0","min":1,"avg":2,"max":3},"frames":{"small":1,"target":2},"recipients":["age1"],"top":{"blob":["00000000000000000000000000000000000000000000000000000000000000fd","00000000000000000000000000000000000000000000000000000000000000fc",9,"0102030405060708"],"ref":[1,2,3,4,"00000000000000000000000000000000000000000000000000000000000000fb"]}}`
)

// seedRules is seedRoot of a backup with all kinds of rules.
var seedRules = strings.Replace(seedRoot, `"excludes":[],`, `"excludes":["*.o","/x"],"filters":{"iexcludes":["*.ISO",{"b64":"/w=="}],"excludes_last":1,"iexcludes_last":2,`+
	`"tags":["CACHEDIR.TAG:Signature"],"larger_than":1048576,"one_file_system":true,"ignore_file":".vaultikignore","left_out":["/var/store"],"cut":true},`, 1)

// TestGolden holds the names and the order of all fields, and keeps the seeds on
// the good side: a fuzzer that only sees errors finds nothing.
func TestGolden(t *testing.T) {
	golden(t, seedTrust, parseTrust)
	golden(t, seedMan, parseManifest)
	golden(t, seedCheck, parseCheckpoint)
	golden(t, seedNote, parseNote)
	golden(t, seedGC, parseGC)
	golden(t, seedRoot, parseRoot)
	golden(t, seedRules, parseRoot)
	golden(t, seedStore, func(line []byte) (d StoreDoc, err error) {
		err = unmarshal(line, storeType, &d)
		return d, err
	})
}

func golden[T any](t *testing.T, line string, parse func([]byte) (T, error)) {
	t.Helper()
	v, err := parse([]byte(line))
	if err != nil {
		t.Errorf("%.20s: %v", line, err)
		return
	}
	if got, err := marshal(v); err != nil || string(got) != line+"\n" {
		t.Errorf("%v\n%s\nwant\n%s", err, got, line)
	}
}

// parseBound is how many bytes parsing may allocate, in all: each value some 64,
// and lists as they grow three times as much; a document's text twice.
func parseBound(line []byte) int64 { return 64<<10 + 100*int64(len(line)) }

// fuzzParser checks that what a parser accepts is the same after it was
// written and parsed again.
func fuzzParser[T any](f *testing.F, seed string, parse func([]byte) (T, error)) {
	f.Add([]byte(seed))
	f.Add(bytes.Replace([]byte(seed), []byte(`"v":1`), []byte(`"v":1,"v":1`), 1))
	f.Add(bytes.Replace([]byte(seed), []byte(`[]`), []byte(`null`), 1))
	f.Add([]byte(`{"type":"store","v":1}`))
	f.Add([]byte(`{"type":"manifest","v":1,"required":[],"keys":[{},{},{},{},{}],"x":[{"a":{"b":[[],[]]}},[[]]]}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		var v T
		var err error
		fuzzbound.Check(t, parseBound(line), func() { v, err = parse(line) })
		if err != nil {
			return
		}
		again, err := marshal(v)
		if err != nil {
			t.Fatalf("what was parsed cannot be written: %v", err)
		}
		w, err := parse(again)
		if err != nil {
			t.Fatalf("what was written cannot be parsed: %v\n%s", err, again)
		}
		if third, _ := marshal(w); !bytes.Equal(third, again) {
			t.Errorf("written twice, it differs:\n%s\n%s", again, third)
		}
	})
}

func FuzzParseTrust(f *testing.F)      { fuzzParser(f, seedTrust, parseTrust) }
func FuzzParseManifest(f *testing.F)   { fuzzParser(f, seedMan, parseManifest) }
func FuzzParseCheckpoint(f *testing.F) { fuzzParser(f, seedCheck, parseCheckpoint) }
func FuzzParseNote(f *testing.F)       { fuzzParser(f, seedNote, parseNote) }
func FuzzParseGC(f *testing.F)         { fuzzParser(f, seedGC, parseGC) }
func FuzzParseTagNames(f *testing.F) {
	f.Add([]byte(seedNames))
	f.Add([]byte(seedNote))
	f.Fuzz(func(t *testing.T, line []byte) {
		var tags []Tag
		var err error
		fuzzbound.Check(t, parseBound(line), func() { tags, err = parseTagNames(line) })
		if err != nil {
			return
		}
		b, err := marshal(tagNames{newHeader(tagNamesType), list(tags)})
		if err != nil {
			t.Fatal(err)
		}
		if again, err := parseTagNames(b); err != nil || !slices.Equal(again, tags) {
			t.Errorf("does not come back: %v", err)
		}
	})
}

func FuzzParseRoot(f *testing.F) {
	f.Add([]byte(seedRules))
	fuzzParser(f, seedRoot, parseRoot)
}

func FuzzDecodeStore(f *testing.F) {
	var owner keys.Signer
	if err := owner.UnmarshalText([]byte("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")); err != nil {
		f.Fatal(err)
	}
	good, err := EncodeStore(StoreDoc{Store: layout.StoreID{1}, Owner: owner.Public(), Created: testTime}, &owner)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(seedStore + "\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var d StoreDoc
		var err error
		fuzzbound.Check(t, parseBound(b), func() { d, err = DecodeStore(b) })
		if err == nil && d.Owner.IsZero() {
			t.Error("a store without an owner was accepted")
		}
	})
}

func FuzzParseBlobList(f *testing.F) {
	b, err := EncodeBlobList(testBlobs(3, 6), 0)
	if err != nil {
		f.Fatal(err)
	}
	plain, err := decompress(b, MaxBlobList)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(plain)
	f.Add(plain[:len(plain)-1])
	f.Add(bytes.Replace(plain, []byte(`"required":[]`), []byte(`"required":[],"salt":"000000000000000a"`), 1))
	f.Add(bytes.Replace(plain, []byte(`"required":[]`), []byte(`"required":[],"salt":7`), 1))
	f.Fuzz(func(t *testing.T, plain []byte) {
		var blobs []BlobSize
		var err error
		fuzzbound.Check(t, parseBound(plain), func() { blobs, err = parseBlobList(plain) })
		if err != nil {
			return
		}
		b, err := EncodeBlobList(blobs, 0)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := DecodeBlobList(b); err != nil || !reflect.DeepEqual(again, blobs) {
			t.Errorf("does not come back: %v", err)
		}
	})
}

func FuzzParseCondemned(f *testing.F) {
	b, err := EncodeCondemned(testNames(3))
	if err != nil {
		f.Fatal(err)
	}
	plain, err := decompress(b, MaxCondemnedList)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(plain)
	f.Add(plain[:len(plain)-1])
	f.Add(append(plain, `"k/0102030405060708/0"`+"\n"+`"p/01arz3ndektsv4rrffq69g5fav"`+"\n"...))
	f.Fuzz(func(t *testing.T, plain []byte) {
		var names []string
		var n int64
		var err error
		fuzzbound.Check(t, parseBound(plain), func() {
			n, err = parseCondemned(plain, layout.HostID{1}, func(o layout.Object) error {
				names = append(names, o.Name())
				return nil
			})
		})
		if err != nil {
			return
		}
		b, err := EncodeCondemned(names)
		if err != nil || int64(len(names)) != n {
			t.Fatalf("%d names, said to be %d: %v", len(names), n, err)
		}
		var again []string
		err = DecodeCondemned(b, layout.HostID{1}, func(o layout.Object) error {
			again = append(again, o.Name())
			return nil
		})
		if err != nil || !reflect.DeepEqual(again, names) {
			t.Errorf("does not come back: %v", err)
		}
	})
}

func FuzzDecompress(f *testing.F) {
	f.Add(compress([]byte("hello")))
	f.Add(pad(compress([]byte("hello"))))
	f.Add(compress(make([]byte, 5000)))
	f.Fuzz(func(t *testing.T, b []byte) {
		const limit = 4096
		// A decoder takes buffers for blocks of 128 KiB and a window of 8 MiB at most.
		fuzzbound.Check(t, 2*maxWindow+2<<20, func() {
			if out, err := decompress(b, limit); err == nil && len(out) > limit {
				t.Errorf("%d bytes", len(out))
			}
		})
		if len(b) == 0 {
			return
		}
		if out, err := decompressNames(b, MaxManifest); err == nil && len(out) > 64<<10+maxRatio*len(b) {
			t.Errorf("%d bytes from %d", len(out), len(b))
		}
	})
}

// FuzzCheckJSON compares the scanner with the decoder of the standard library,
// token by token.
func FuzzCheckJSON(f *testing.F) {
	for _, s := range []string{
		seedMan, seedRoot, `{"a":{"b":1},"b":{"b":2}}`, `{"a":1,"a":2}`, `[{"a":"}"},{"a":"\""}]`, `{"a":["b","b",{"b":"b"}],"b":1}`,
		`1` + strings.Repeat("8", 310), `{"A":1}`, `{"\u0061":1}`, `{"a":"\\","b":"\\\""}`, "{\"a\":\"\xff\"}", `[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]`, `""`, `{}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, want := checkJSON(b) == nil, slowCheckJSON(b); got != want {
			t.Errorf("checkJSON accepts: %v, the oracle: %v", got, want)
		}
	})
}

func slowCheckJSON(b []byte) bool {
	if !utf8.Valid(b) || !json.Valid(b) || bytes.Contains(b, []byte(`\u00`)) && hasEscapedKey(b) {
		return false
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber() // one of 305 digits is a number too
	return slowValue(d, 0)
}

func slowValue(d *json.Decoder, depth int) bool {
	tok, err := d.Token()
	if err != nil {
		return false
	}
	delim, ok := tok.(json.Delim)
	if !ok {
		return true
	}
	if depth == maxDepth {
		return false
	}
	seen := make(map[string]bool)
	for d.More() {
		if delim == '{' {
			key, err := d.Token()
			if err != nil {
				return false
			}
			s := key.(string)
			for _, c := range s {
				if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
					return false
				}
			}
			if seen[s] {
				return false
			}
			seen[s] = true
		}
		if !slowValue(d, depth+1) {
			return false
		}
	}
	_, err = d.Token()
	return err == nil || err == io.EOF
}

// hasEscapedKey finds keys that are spelled with escapes, which the decoder hides.
func hasEscapedKey(b []byte) bool {
	for i := 0; i < len(b); i++ {
		if b[i] != '"' {
			continue
		}
		end := stringEnd(b, i)
		rest := bytes.TrimLeft(b[end+1:], " \t\r\n")
		if len(rest) > 0 && rest[0] == ':' && bytes.Contains(b[i:end], []byte(`\`)) {
			return true
		}
		i = end
	}
	return false
}
