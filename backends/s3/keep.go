package s3

import (
	"context"
	"net/http"
	"time"

	"github.com/minio/minio-go/v7"

	"vaultik/backends"
)

// Keeps implements backends.Keeper: whether the bucket has versions, and for how long object
// lock keeps an object, by the settings or by the bucket's own rule. What a bucket's policy or
// the user has locked beyond that is not seen.
func (b *Backend) Keeps(ctx context.Context) (k backends.Keeping, err error) {
	if err := b.enter(ctx, ""); err != nil {
		return k, b.fail(ctx, "info", "", nil, err)
	}
	defer b.gate.Leave()
	c := &call{}
	asked := withCall(ctx, c)
	versions, err := b.client.GetBucketVersioning(asked, b.settings.bucket)
	if err != nil && !untold(c) {
		return k, b.fail(ctx, "info", "", c, err)
	}
	k.Versions = err == nil && versions.Status == minio.Enabled
	days := b.settings.lockDays
	_, _, validity, unit, err := b.client.GetObjectLockConfig(asked, b.settings.bucket)
	if err != nil && !untold(c) {
		return k, b.fail(ctx, "info", "", c, err)
	}
	if err == nil && validity != nil && unit != nil {
		n := int(min(*validity, maxLockDays)) //nolint:gosec // it is small now
		if *unit == minio.Years {
			n *= 365
		}
		days = max(days, n)
	}
	k.Lock = time.Duration(days) * 24 * time.Hour
	return k, nil
}

// untold reports whether a server has refused to say something, for good.
func untold(c *call) bool {
	return c.err == nil && (c.status >= 300 && c.status < 500 || c.status == http.StatusNotImplemented)
}
