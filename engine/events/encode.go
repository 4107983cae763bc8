package events

import (
	"encoding/json"
	"reflect"
	"strings"
	"unicode/utf8"

	"vaultik/internal/words"
)

// Line is an event as a line of JSON, with its line end. Names and paths that are not UTF-8
// have fields of their own, in base64; in any other text, bytes that are not UTF-8 are escaped
// as on a terminal, where encoding/json would put U+FFFD for each of them.
func Line(event any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(utf8Only(reflect.ValueOf(event)).Interface()); err != nil {
		panic(err) // events are plain structs
	}
	return b.String()
}

// utf8Only is a copy of v, all texts of which are UTF-8.
func utf8Only(v reflect.Value) reflect.Value {
	switch v.Kind() {
	case reflect.String:
		if utf8.ValidString(v.String()) {
			return v
		}
		w := reflect.New(v.Type()).Elem()
		w.SetString(words.UTF8(v.String()))
		return w
	case reflect.Struct:
		w := reflect.New(v.Type()).Elem()
		w.Set(v)
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() && f.Tag.Get("json") != "-" {
				w.Field(i).Set(utf8Only(v.Field(i)))
			}
		}
		return w
	case reflect.Slice:
		if v.IsNil() || v.Type().Elem().Kind() == reflect.Uint8 {
			return v
		}
		w := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		for i := range v.Len() {
			w.Index(i).Set(utf8Only(v.Index(i)))
		}
		return w
	case reflect.Map:
		if v.IsNil() {
			return v
		}
		w := reflect.MakeMapWithSize(v.Type(), v.Len())
		for at := v.MapRange(); at.Next(); {
			w.SetMapIndex(utf8Only(at.Key()), utf8Only(at.Value()))
		}
		return w
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return v
		}
		w := reflect.New(v.Type()).Elem()
		if of := utf8Only(v.Elem()); v.Kind() == reflect.Pointer {
			w.Set(reflect.New(of.Type()))
			w.Elem().Set(of)
		} else {
			w.Set(of)
		}
		return w
	}
	return v
}
