package fs

// Enter opens the existing directory path to an unprivileged owner whom its mode
// bars from it, as an earlier restore may have left it. SetDirMeta gives it its
// mode when all below is done.
func (t *Target) Enter(path string) error {
	d, err := t.openDir(path, true)
	if err != nil {
		return t.error("open", path, err)
	}
	d.release()
	return nil
}
