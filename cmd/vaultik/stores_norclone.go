//go:build norclone

package main

import (
	"context"
	"errors"
	"net/url"

	"vaultik/backends"
)

// Without rclone its URLs are still known, so that the error says why they do
// not work here.
func init() {
	backends.Register("rclone", func(_ context.Context, u *url.URL,
		_ backends.Options) (backends.Backend, error) {
		return nil, &backends.OpError{Op: "open", Backend: backends.Redact(u.String()),
			Err: backends.WithKind(backends.ErrConfig,
				errors.New("this program was built without rclone (-tags norclone)"))}
	})
}
