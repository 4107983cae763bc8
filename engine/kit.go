package engine

import (
	"errors"
	"fmt"
	"os"

	"vaultik/config"
	"vaultik/internal/fault"
	"vaultik/vault/keys"
)

// wrongKit: a recovery kit is of another store.
type wrongKit struct{ file, store, want string }

func (e *wrongKit) Error() string {
	return fmt.Sprintf("the recovery kit %s is that of store %s; this store is %s", e.file, e.store,
		e.want)
}

func (*wrongKit) Exit() fault.Code { return fault.Failed }
func (*wrongKit) Hint() string {
	return "use the recovery kit whose \"# store:\" line has this store's id: --kit FILE"
}

// ownersKit reads the recovery kit of an open store. Of its secrets only the owner's key is
// used; the identity is not even kept.
func ownersKit(file string, op *opened) (*keys.Kit, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, fault.WithHint(fmt.Errorf("read recovery kit: %w", err),
			"give the file that init wrote: --kit FILE")
	}
	kit, err := keys.ParseKit(raw)
	clear(raw)
	kit.Identity = ""
	switch {
	case errors.Is(err, keys.ErrBadKit):
		return nil, fault.WithHint(fmt.Errorf("%s: %w", config.Quote(file), err),
			"give the file that init wrote: --kit FILE")
	case err != nil:
		return nil, err
	case kit.StoreID != op.Store.Doc.Store || kit.Owner.Public() != op.Store.Doc.Owner:
		return nil, &wrongKit{file, kit.StoreID.String(), op.Store.Doc.Store.String()}
	}
	return &kit, nil
}
