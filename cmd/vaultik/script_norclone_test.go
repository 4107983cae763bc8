//go:build norclone

package main

const withRclone = false
