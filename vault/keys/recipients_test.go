package keys

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"

	"vaultik/internal/agetest"
)

func mustGenerate(t testing.TB, classic bool) (secret, recipient string) {
	t.Helper()
	secret, recipient, err := Generate(classic)
	if err != nil {
		t.Fatal(err)
	}
	return secret, recipient
}

func mustRecipients(t testing.TB, list ...string) Recipients {
	t.Helper()
	rs, err := ParseRecipients(list)
	if err != nil {
		t.Fatal(err)
	}
	return rs
}

func TestParseRecipients(t *testing.T) {
	sx, x := mustGenerate(t, true)
	spq, pq := mustGenerate(t, false)
	_, x2 := mustGenerate(t, true)
	tags := agetest.TagPlugin(t)
	const yubikey = "age1yubikey1qt8lw0ual6avlwmwatk888yqnmdamm7xfd0wak53ut6elz5c4swx2yqdj4e"
	tests := []struct {
		name string
		in   []string
		pq   bool
		want error
	}{
		{name: "classic", in: []string{x}},
		{name: "several", in: []string{x, x2, " " + x + "\n"}},
		{name: "post-quantum", in: []string{pq}, pq: true},
		{name: "hardware", in: []string{tags.Classic, x}},
		{name: "post-quantum hardware", in: []string{pq, tags.Hybrid}, pq: true},
		{name: "mixed", in: []string{x, pq}, want: ErrMixedRecipients},
		{name: "mixed the other way", in: []string{pq, x}, want: ErrMixedRecipients},
		{name: "mixed hardware", in: []string{tags.Classic, tags.Hybrid}, want: ErrMixedRecipients},
		{name: "mixed hybrid and classic hardware", in: []string{pq, tags.Classic}, want: ErrMixedRecipients},
		{name: "none", want: ErrNoRecipients},
		{name: "empty", in: []string{x, ""}, want: ErrBadRecipient},
		{name: "secret", in: []string{sx}, want: ErrSecretAsRecipient},
		{name: "post-quantum secret", in: []string{x, spq}, want: ErrSecretAsRecipient},
		{name: "lower case secret", in: []string{strings.ToLower(sx)}, want: ErrSecretAsRecipient},
		{name: "secret behind something", in: []string{"key: " + sx}, want: ErrSecretAsRecipient},
		{name: "plugin identity", in: []string{tags.Identity}, want: ErrSecretAsRecipient},
		{name: "broken secret", in: []string{sx[:30]}, want: ErrSecretAsRecipient},
		{name: "plugin", in: []string{yubikey}, want: ErrBadRecipient},
		{name: "ssh", in: []string{"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIF0s9"}, want: ErrBadRecipient},
		{name: "cut off", in: []string{x[:50]}, want: ErrBadRecipient},
		{name: "typo", in: []string{x[:20] + "q" + x[21:len(x)-1] + "b"}, want: ErrBadRecipient},
		{name: "upper case", in: []string{strings.ToUpper(x)}, want: ErrBadRecipient},
		{name: "low order", in: []string{"age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqs3290gq"}, want: ErrBadRecipient},
		{name: "garbage", in: []string{"correct horse battery staple"}, want: ErrBadRecipient},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rs, err := ParseRecipients(tt.in)
			if !errors.Is(err, tt.want) || (tt.want == nil) != (err == nil) {
				t.Fatalf("error %v, want %v", err, tt.want)
			}
			if err == nil && rs.PostQuantum() != tt.pq {
				t.Errorf("PostQuantum() = %v", rs.PostQuantum())
			}
			if err != nil {
				for _, in := range tt.in {
					if len(in) > 8 && strings.Contains(strings.ToUpper(err.Error()), strings.ToUpper(in[len(in)-8:])) {
						t.Errorf("error repeats its input: %v", err)
					}
				}
			}
		})
	}
}

func TestParseRecipients_tooMany(t *testing.T) {
	var list []string
	for range MaxRecipients + 1 {
		_, r := mustGenerate(t, true)
		list = append(list, r)
	}
	if _, err := ParseRecipients(list); !errors.Is(err, ErrBadRecipient) {
		t.Errorf("error %v, want ErrBadRecipient", err)
	}
	if _, err := ParseRecipients(list[1:]); err != nil {
		t.Error(err)
	}
}

func TestRecipients_Sum(t *testing.T) {
	_, a := mustGenerate(t, true)
	_, b := mustGenerate(t, true)
	ab, ba, only := mustRecipients(t, a, b), mustRecipients(t, b, a, b), mustRecipients(t, a)
	if ab.Sum() != ba.Sum() || ab.Sum() == only.Sum() {
		t.Error("Sum depends on order, or not on the recipients")
	}
	if want := sha256.Sum256([]byte(a + "\n")); only.Sum() != want {
		t.Error("Sum is not that of the recipients, a newline after each")
	}
}

func TestEncryptTo(t *testing.T) {
	secret, r := mustGenerate(t, true)
	epochSecret, epoch := mustGenerate(t, true)
	_, pq := mustGenerate(t, false)
	var buf bytes.Buffer
	w, err := EncryptTo(&buf, mustRecipients(t, r), epoch)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{secret, epochSecret} {
		file := agetest.File(t, "key", []byte(s+"\n"))
		if got := agetest.Run(t, buf.Bytes(), "age", "-d", "-i", file); string(got) != "hello" {
			t.Errorf("age -d = %q", got)
		}
	}
	if _, err := EncryptTo(&buf, Recipients{}, epoch); !errors.Is(err, ErrNoRecipients) {
		t.Errorf("no recipients: %v", err)
	}
	if _, err := EncryptTo(&buf, mustRecipients(t, r), pq); !errors.Is(err, ErrMixedRecipients) {
		t.Errorf("mixed epoch: %v", err)
	}
	if _, err := EncryptTo(&buf, mustRecipients(t, r), epochSecret); !errors.Is(err, ErrSecretAsRecipient) {
		t.Errorf("secret as epoch recipient: %v", err)
	}
}
