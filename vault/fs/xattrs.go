package fs

import (
	"errors"

	"vaultik/vault/page"
)

var errNoXattrs = errors.New("they are in chunks, which are not read here")

// whole returns e with the attributes that it has in chunks. Call done when they
// are no longer needed.
func (t *Target) whole(e *page.Entry) (all *page.Entry, done func(), err error) {
	if len(e.XattrRefs) == 0 {
		return e, func() {}, nil
	}
	t.many.Lock()
	err = errNoXattrs
	var list []page.Xattr
	if t.opt.Xattrs != nil {
		list, err = t.opt.Xattrs(e)
	}
	c := *e
	c.Xattrs, c.XattrRefs = list, nil
	return &c, t.many.Unlock, err
}
