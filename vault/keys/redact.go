package keys

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
)

const redacted = "(secret)"

// Every secret type has these three, so that no verb of fmt and no log
// handler finds its way to the bytes.

// Format prints "(secret)" under every verb.
func (HostSecret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// String returns "(secret)".
func (HostSecret) String() string { return redacted }

// LogValue returns "(secret)".
func (HostSecret) LogValue() slog.Value { return slog.StringValue(redacted) }

// Format prints "(secret)" under every verb.
func (Identity) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// String returns "(secret)".
func (Identity) String() string { return redacted }

// LogValue returns "(secret)".
func (Identity) LogValue() slog.Value { return slog.StringValue(redacted) }

// Format prints "(secret)" under every verb.
func (*opaque) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// String returns "(secret)".
func (*opaque) String() string { return redacted }

// Format prints "(secret)" under every verb.
func (Signer) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// String returns "(secret)".
func (Signer) String() string { return redacted }

// LogValue returns "(secret)".
func (Signer) LogValue() slog.Value { return slog.StringValue(redacted) }

// Format prints "(secret)" under every verb.
func (Kit) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// String returns "(secret)".
func (Kit) String() string { return redacted }

// LogValue returns "(secret)".
func (Kit) LogValue() slog.Value { return slog.StringValue(redacted) }

// looksSecret reports whether s contains the beginning of an age identity.
func looksSecret(s string) bool {
	s = strings.ToUpper(s)
	return strings.Contains(s, "AGE-SECRET-KEY-") || strings.Contains(s, "AGE-PLUGIN-")
}
