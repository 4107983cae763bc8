package keys

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"vaultik/internal/agetest"
	"vaultik/vault/layout"
)

func TestNewEpoch(t *testing.T) {
	now := time.Date(2026, 5, 1, 10, 0, 0, 123, time.UTC)
	for _, classic := range []bool{true, false} {
		secret, recipient := mustGenerate(t, classic)
		rs := mustRecipients(t, recipient)
		e, sealed, err := NewEpoch(rs, now)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(sealed)
		if e.Sum != hex.EncodeToString(sum[:]) || e.Size != int64(len(sealed)) {
			t.Error("Sum and Size are not those of the sealed object")
		}
		rsum := sha256.Sum256([]byte(e.Recipient))
		if e.ID.String() != hex.EncodeToString(rsum[:8]) {
			t.Error("ID is not the first 16 hex digits of the recipient's SHA-256")
		}
		if _, err := OpenEpoch(sealed, mustIdentity(t, secret), e.ID); err != nil {
			t.Error(err)
		}

		// What a person does without this program: kit, epoch object, blob.
		kit := agetest.File(t, "kit", FormatKit(Kit{Identity: secret, Owner: NewSigner()}))
		epoch := agetest.File(t, "epoch", agetest.Run(t, sealed, "age", "-d", "-i", kit))
		var blob bytes.Buffer
		w, err := EncryptTo(&blob, rs, e.Recipient)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = w.Write([]byte("data"))
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{kit, epoch} {
			if out := agetest.Run(t, blob.Bytes(), "age", "-d", "-i", key); string(out) != "data" {
				t.Errorf("age -d = %q", out)
			}
		}
	}
}

func TestEpochKey_Fresh(t *testing.T) {
	_, a := mustGenerate(t, true)
	_, b := mustGenerate(t, true)
	now := time.Now()
	rs := mustRecipients(t, a, b)
	e, _, err := NewEpoch(rs, now)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		e    EpochKey
		rs   Recipients
		at   time.Duration
		want bool
	}{
		"new":            {e, rs, 0, true},
		"other order":    {e, mustRecipients(t, b, a), 0, true},
		"old enough":     {e, rs, EpochLife - time.Minute, true},
		"too old":        {e, rs, EpochLife, false},
		"clock set back": {e, rs, -2 * time.Hour, false},
		"one fewer":      {e, mustRecipients(t, a), 0, false},
		"never made":     {EpochKey{}, rs, 0, false},
		"other id":       {EpochKey{ID: layout.Epoch{1}, Recipient: e.Recipient, Born: e.Born, RecipientsSum: e.RecipientsSum}, rs, 0, false},
	} {
		if got := tt.e.Fresh(tt.rs, now.Add(tt.at)); got != tt.want {
			t.Errorf("%s: Fresh = %v", name, got)
		}
	}
}

func TestOpenEpoch_refuses(t *testing.T) {
	secret, r := mustGenerate(t, true)
	otherSecret, _ := mustGenerate(t, true)
	id := mustIdentity(t, secret)
	e, sealed, err := NewEpoch(mustRecipients(t, r), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(sealed)
	flipped[len(flipped)-1] ^= 1
	for name, tt := range map[string]struct {
		sealed []byte
		id     *Identity
		epoch  layout.Epoch
		want   error
	}{
		"other identity":    {sealed, mustIdentity(t, otherSecret), e.ID, ErrWrongIdentity},
		"no identity":       {sealed, nil, e.ID, ErrWrongIdentity},
		"other epoch":       {sealed, id, layout.Epoch{1}, ErrDamaged},
		"flipped":           {flipped, id, e.ID, ErrDamaged},
		"truncated":         {sealed[:len(sealed)-1], id, e.ID, ErrDamaged},
		"empty":             {nil, id, e.ID, ErrDamaged},
		"not an identity":   {seal(t, "hello", r), id, e.ID, ErrDamaged},
		"long":              {seal(t, strings.Repeat("A", maxEpochLine+1), r), id, e.ID, ErrDamaged},
		"too large":         {make([]byte, maxSealedEpoch+1), id, e.ID, ErrDamaged},
		"the recipient's":   {seal(t, secret, r), id, e.ID, ErrDamaged},
		"one byte appended": {append(bytes.Clone(sealed), 0), id, e.ID, ErrDamaged},
	} {
		_, err := OpenEpoch(tt.sealed, tt.id, tt.epoch)
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		} else if looksSecret(err.Error()) {
			t.Errorf("%s: error repeats a key: %v", name, err)
		}
	}
	if _, err := OpenEpoch(sealed, mustIdentity(t, otherSecret+"\n"+secret), e.ID); err != nil {
		t.Errorf("second identity: %v", err)
	}
}

// What seals to an epoch is opened by the first identity that is tried, however many there are.
func TestForEpoch(t *testing.T) {
	secret, recipient, err := Generate(true)
	if err != nil {
		t.Fatal(err)
	}
	id, err := ParseIdentity(secret)
	if err != nil {
		t.Fatal(err)
	}
	rs, err := ParseRecipients([]string{recipient})
	if err != nil {
		t.Fatal(err)
	}
	var ids []age.Identity
	var epochs []EpochKey
	for range 5 {
		e, sealed, err := NewEpoch(rs, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		opened, err := OpenEpoch(sealed, id, e.ID)
		if err != nil {
			t.Fatal(err)
		}
		ids, epochs = append(ids, opened), append(epochs, e)
	}
	ids = append(ids, id.Age()...)
	for _, e := range epochs {
		var sealed bytes.Buffer
		w, err := EncryptTo(&sealed, rs, e.Recipient)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		got := ForEpoch(ids, e.ID)
		if len(got) != len(ids) {
			t.Errorf("%d identities of %d", len(got), len(ids))
		}
		if _, err := Decrypt(sealed.Bytes(), got[:1], 1); err != nil {
			t.Errorf("the first identity does not open what is sealed to its epoch: %v", err)
		}
	}
	if got := ForEpoch(ids, layout.Epoch{1}); !slices.Equal(got, ids) {
		t.Error("an epoch that nobody has changes the order")
	}
}

// The key of an epoch tries the stanza of the epoch first, however many recipients there are.
func TestOpenEpoch_firstStanza(t *testing.T) {
	secret, owner := mustGenerate(t, true)
	_, second := mustGenerate(t, true)
	_, third := mustGenerate(t, true)
	rs := mustRecipients(t, owner, second, third)
	e, sealed, err := NewEpoch(rs, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	opened, err := OpenEpoch(sealed, mustIdentity(t, secret), e.ID)
	if err != nil {
		t.Fatal(err)
	}
	var object bytes.Buffer
	w, err := EncryptTo(&object, rs, e.Recipient)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	o := opened.(*opaque) //nolint:forcetypeassert // it panics
	unwrap, tried := o.unwrap, 0
	o.unwrap = func(stanzas []*age.Stanza) ([]byte, error) {
		for _, s := range stanzas {
			tried++
			if key, err := unwrap([]*age.Stanza{s}); err == nil {
				return key, nil
			}
		}
		return nil, age.ErrIncorrectIdentity
	}
	if _, err := age.Decrypt(&object, o); err != nil || tried != 1 {
		t.Errorf("%d stanzas were tried of 4, %v; want 1", tried, err)
	}
}
