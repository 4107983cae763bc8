package snapshot

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"filippo.io/age"

	"vaultik/internal/agetest"
	"vaultik/vault/blob"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
	"vaultik/vault/page"
)

func TestRoot(t *testing.T) {
	w := newWorld(t)
	r := w.root(1)
	sealed, name, err := SealRoot(r, w.recipients, w.epoch)
	w.must(err)
	if name != sumOf(sealed) {
		t.Error("the name is not the SHA-256")
	}
	got, err := OpenRoot(sealed, w.ids())
	w.must(err)
	got.Header = Header{}
	want := *r
	want.Excludes = []Text{}
	if !reflect.DeepEqual(got, &want) {
		t.Errorf("OpenRoot = %+v\nwant %+v", got, &want)
	}
	epoch, err := keys.OpenEpoch(w.m.objects[layout.EpochKey(w.host, w.epoch.ID, 0)], w.identity, w.epoch.ID)
	w.must(err)
	if _, err := OpenRoot(sealed, []age.Identity{epoch}); err != nil {
		t.Errorf("with the epoch's identity: %v", err)
	}
	ref := got.Top.Ref()
	if top, err := TopOf(ref); err != nil || *top != *r.Top {
		t.Errorf("TopOf(Ref()) = %+v, %v", top, err)
	}
	for _, bad := range []page.Ref{{}, {Hole: 1, Blob: &r.Top.Blob}} {
		if _, err := TopOf(bad); !errors.Is(err, ErrInvalid) {
			t.Errorf("TopOf(%+v): %v", bad, err)
		}
	}
}

func TestRoot_standardTools(t *testing.T) {
	w := newWorld(t)
	sealed, _, err := SealRoot(w.root(1), w.recipients, w.epoch)
	w.must(err)
	kit := agetest.File(t, "kit", keys.FormatKit(keys.Kit{Identity: w.secret, Owner: w.owner, StoreID: w.store}))
	plain := agetest.Run(t, sealed, "age", "-d", "-i", kit)
	if n := int64(len(plain)); n != blob.Padme(n) {
		t.Errorf("%d bytes inside are no Padmé size", n)
	}
	line := agetest.Run(t, plain, "zstd", "-dc")
	out := agetest.Run(t, line, "jq", "-r", `.hostname, .setname, .paths[1], (.paths[0].b64 | @base64d | length > 0), .secret, .top.blob[2], .top.ref[3]`)
	secret, _ := w.root(1).Secret.MarshalText()
	if got := strings.Split(string(out), "\n"); len(got) != 8 || got[0] != "box" || got[1] != "docs" || got[2] != "/etc" ||
		got[3] != "true" || len(got[4]) != len(secret) || got[5] != "3" || got[6] != "7" {
		t.Errorf("jq prints %q", got)
	}
	if bytes.Count(line, []byte{'\n'}) != 1 {
		t.Error("the root is not one line")
	}
}

func TestRoot_sizes(t *testing.T) {
	for n := range 3000 {
		if got := int64(len(pad(make([]byte, n)))); got != blob.Padme(got) || got < int64(n+padHeader) {
			t.Fatalf("pad of %d bytes gives %d", n, got)
		}
	}
}

func TestRoot_refuses(t *testing.T) {
	w := newWorld(t)
	good, err := encodeRoot(w.root(1))
	w.must(err)
	lineBytes, err := decompress(good, MaxRoot)
	w.must(err)
	line := strings.TrimSuffix(string(lineBytes), "\n")
	seal := func(plain []byte, rs keys.Recipients) []byte {
		var buf bytes.Buffer
		a, err := keys.EncryptTo(&buf, rs, "")
		w.must(err)
		_, _ = a.Write(plain)
		w.must(a.Close())
		return buf.Bytes()
	}
	again := func(old, with string) []byte {
		if !strings.Contains(line, old) {
			t.Fatalf("the root has no %q", old)
		}
		return seal(pad(compress([]byte(strings.Replace(line, old, with, 1)))), w.recipients)
	}
	if _, err := OpenRoot(again("{", "{"), w.ids()); err != nil {
		t.Fatal(err)
	}
	_, recipient, _ := keys.Generate(true)
	others, err := keys.ParseRecipients([]string{recipient})
	w.must(err)
	sealed := again("{", "{")
	for name, tt := range map[string]struct {
		b    []byte
		want error
	}{
		"other recipient": {seal(good, others), keys.ErrWrongIdentity},
		"truncated":       {sealed[:len(sealed)-1], ErrDamaged},
		"empty":           {nil, ErrDamaged},
		"not zstd":        {seal([]byte(line), w.recipients), ErrDamaged},
		"bomb":            {seal(compress(make([]byte, MaxRoot+1)), w.recipients), ErrDamaged},
		"newer":           {again(`"v":1`, `"v":9`), ErrNewerFormat},
		"required":        {again(`"required":[]`, `"required":["x"]`), ErrNewerFormat},
		"a manifest":      {again(`"type":"root"`, `"type":"manifest"`), ErrDamaged},
		"duplicate":       {again(`"seq":1`, `"seq":1,"seq":1`), ErrDamaged},
		"no secret":       {again(`"secret":"`, `"secrex":"`), ErrDamaged},
		"short secret":    {again(`"secret":"`, `"secret":"AAAA`), ErrDamaged},
		"negative":        {again(`"files":3`, `"files":-3`), ErrDamaged},
		"fraction":        {again(`"files":3`, `"files":3.5`), ErrDamaged},
		"top of four":     {again(`"ref":[4,`, `"ref":[`), ErrDamaged},
		"top of six":      {again(`"ref":[4,`, `"ref":[4,4,`), ErrDamaged},
		"top too far":     {again(`"ref":[4,`, `"ref":[4294967296,`), ErrDamaged},
		"top null":        {again(`"ref":[4,`, `"ref":[null,`), ErrDamaged},
		"top without ref": {again(`"ref":`, `"rex":`), ErrDamaged},
		"bad text":        {again(`"hostname":"box"`, `"hostname":{"b64":"%"}`), ErrDamaged},
		"number as text":  {again(`"hostname":"box"`, `"hostname":7`), ErrDamaged},
	} {
		_, err := OpenRoot(tt.b, w.ids())
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
	r := w.root(1)
	for name, change := range map[string]func(*Root){
		"no secret": func(r *Root) { r.Secret = keys.HostSecret{} },
		"no owner":  func(r *Root) { r.Owner = "" },
		"seq":       func(r *Root) { r.Seq = 0 },
		"top":       func(r *Root) { r.Top = &Top{} },
	} {
		c := *r
		change(&c)
		if _, _, err := SealRoot(&c, w.recipients, w.epoch); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
}

func TestRoot_manyErrors(t *testing.T) {
	w := newWorld(t)
	r := w.root(1)
	r.Errors = nil
	for i := range MaxRootErrors + 5 {
		r.Errors = append(r.Errors, RootError{Text(fmt.Sprint(i)), "unreadable"})
	}
	r.Counts.Errors = int64(len(r.Errors))
	sealed, _, err := SealRoot(r, w.recipients, w.epoch)
	w.must(err)
	got, err := OpenRoot(sealed, w.ids())
	if err != nil || len(got.Errors) != MaxRootErrors || got.Counts.Errors != MaxRootErrors+5 || len(r.Errors) != MaxRootErrors+5 {
		t.Errorf("%d errors come back: %v", len(got.Errors), err)
	}
}

func TestRoot_neverPrintsItsSecret(t *testing.T) {
	w := newWorld(t)
	r := w.root(1)
	text, _ := r.Secret.MarshalText()
	out := fmt.Sprintf("%v %+v %#v", r, *r, r) + fmt.Sprint(r.Secret, &r.Secret)
	for _, needle := range []string{string(text), fmt.Sprintf("%x", [32]byte(r.Secret)), strings.Trim(fmt.Sprint([32]byte(r.Secret)), "[]")} {
		if strings.Contains(out, needle) {
			t.Error("the host secret was printed")
		}
	}
}

func TestText(t *testing.T) {
	for _, s := range []Text{"", "plain", "ü \"\\\n\x00", "\xff", "a\xc3"} {
		b, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var got Text
		if err := json.Unmarshal(b, &got); err != nil || got != s {
			t.Errorf("%q: %q, %v", s, got, err)
		}
	}
}
