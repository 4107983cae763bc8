package fs

import (
	"errors"
	iofs "io/fs"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"vaultik/vault/page"
)

// FoldName maps names that some file systems treat as the same, because they differ
// only in case, in how accents are composed, or in invisible characters, to one string.
// Whether a given file system does, only a trial can tell.
func FoldName(name string) string {
	ascii := true
	for i := range len(name) {
		if c := name[i]; c >= utf8.RuneSelf {
			ascii = false
			break
		}
	}
	if ascii {
		return strings.ToLower(name)
	}
	if !utf8.ValidString(name) {
		return name
	}
	name = norm.NFC.String(cases.Fold().String(norm.NFD.String(name)))
	return strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) {
			return -1
		}
		return r
	}, name)
}

// otherSpelling is a name that differs from name, and that folds to the same; "" if there is none.
func otherSpelling(name string) string {
	for _, s := range []string{strings.ToUpper(name), strings.ToLower(name), norm.NFC.String(name), norm.NFD.String(name)} {
		if s != name && FoldName(s) == FoldName(name) && !strings.ContainsAny(s, "/\x00") && utf8.ValidString(name) {
			return s
		}
	}
	return ""
}

// Folds reports whether the entry path also goes by another spelling of its name: the
// directory that holds it ignores case, or how accents are composed.
func (t *Target) Folds(path string) bool {
	dir, name := split(path)
	other := otherSpelling(name)
	if other == "" {
		return false
	}
	a, err := t.Lstat(path)
	if err != nil {
		return false
	}
	b, err := t.Lstat(join(dir, other))
	if err != nil || !a.SameFile(&b) {
		return false
	}
	if a.Nlink < 2 || a.Type == page.Dir {
		return true
	}
	both := 0 // they may be two names of one file
	_ = t.eachName(dir, func(n string) error {
		if n == name || n == other {
			both++
		}
		return nil
	})
	return both < 2
}

// OneName reports whether two names would be one in the existing directory path: it
// tries, in a new directory there, since any rule is possible and each directory may
// have its own. In a read-only Target it looks at existing names.
func (t *Target) OneName(path, a, b string) (bool, error) {
	if t.opt.ReadOnly {
		return t.looksFolding(path), nil
	}
	temp := t.tempName()
	defer t.tempDone(temp)
	if err := t.tryNames(path, temp, a, b); !errors.Is(err, iofs.ErrExist) {
		return false, err
	}
	return true, nil
}

// looksFolding reports whether a directory of the target, or what is above it where it
// does not exist, seems to ignore case.
func (t *Target) looksFolding(path string) bool {
	for ; ; path, _ = split(path) {
		tried, folds := 0, false
		_ = t.eachName(path, func(name string) error {
			if otherSpelling(name) == "" {
				return nil
			}
			if tried++; t.Folds(join(path, name)) {
				folds = true
			}
			return errFound // one name is as good as another
		})
		if tried > 0 || path == "." {
			return folds
		}
	}
}
