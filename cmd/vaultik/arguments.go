package main

import (
	"fmt"
	"reflect"
	"unicode/utf8"

	"github.com/alecthomas/kong"
)

// bytesAreBytes has kong hand over arguments as the system gave them. Its own mapper of
// strings goes through JSON, which turns each byte that is not UTF-8 into U+FFFD: another
// path. A value that is split at commas has to be text.
func bytesAreBytes() kong.Option {
	own := kong.NewRegistry().RegisterDefaults().
		RegisterKind(reflect.String, kong.MapperFunc(verbatim))
	list := own.ForType(reflect.TypeFor[[]string]())
	return kong.OptionFunc(func(k *kong.Kong) error {
		for kind, mapper := range map[reflect.Kind]kong.MapperFunc{
			reflect.String: verbatim,
			reflect.Slice: func(ctx *kong.DecodeContext, target reflect.Value) error {
				if err := splittable(ctx); err != nil {
					return err
				}
				return list.Decode(ctx, target)
			},
		} {
			if err := kong.KindMapper(kind, mapper).Apply(k); err != nil {
				return err
			}
		}
		return nil
	})
}

func verbatim(ctx *kong.DecodeContext, target reflect.Value) error {
	t, err := ctx.Scan.PopValue("string")
	if err != nil {
		return err
	}
	s, ok := t.Value.(string)
	if !ok {
		return fmt.Errorf("expected a string, not %v", t.Value)
	}
	target.SetString(s)
	return nil
}

// splittable refuses what cannot be split at separators without changing it.
func splittable(ctx *kong.DecodeContext) error {
	if ctx.Value.Flag == nil || ctx.Value.Tag.Sep == -1 {
		return nil
	}
	if s, ok := ctx.Scan.Peek().Value.(string); ok && !utf8.ValidString(s) {
		return fmt.Errorf("%q is not UTF-8 text", s)
	}
	return nil
}
