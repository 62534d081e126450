package dataset

import (
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"firebench/net/files"
)

// MaxPicture is how many bytes a picture's file may have.
const MaxPicture = 128 << 20

// maxDepth is how many folders a picture may lie in.
const maxDepth = 32

// The names of the folders of each purpose. Of several for validation the first counts.
const trainName = "train"

var valNames = []string{"val", "valid", "validation", "test"}

// extensions are those of pictures.
var extensions = []string{".jpg", ".jpeg", ".png", ".gif"}

func isPicture(name string) bool {
	return slices.Contains(extensions, strings.ToLower(path.Ext(name)))
}

// isHidden reports whether a part of a path begins with a dot, or is what macOS adds to archives.
func isHidden(name string) bool {
	for part := range strings.SplitSeq(name, "/") {
		if strings.HasPrefix(part, ".") || part == "__MACOSX" {
			return true
		}
	}
	return false
}

// A finding is what has been found of a data set.
type finding struct {
	dataset *Dataset
	root    folder
	records recordFiles
}

// A folder has further folders, and pictures.
type folder struct {
	path     string
	folders  map[string]*folder
	pictures []*picture
}

// walkFolder goes through the data set's folder.
func (f *finding) walkFolder() error {
	d := f.dataset
	// Through DirFS, the path may be a symbolic link.
	return fs.WalkDir(os.DirFS(d.path), ".", func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return files.Error(d.in(name), err)
		case name == ".":
			return nil
		case isHidden(name):
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil
		case e.IsDir():
			_, err := f.folder(name)
			return err
		case e.Type()&fs.ModeSymlink != 0:
			if info, err := os.Stat(d.in(name)); err == nil && info.IsDir() {
				return fmt.Errorf("%s: is a symbolic link to a folder, which is not followed", d.in(name))
			}
		}
		switch {
		case isPicture(name):
			return f.picture(name, content{})
		case isRecords(name):
			file, err := files.Open(d.in(name), maxRecords)
			if err != nil {
				return err
			}
			d.files = append(d.files, file)
			info, err := file.Stat()
			if err != nil {
				return files.Error(d.in(name), err)
			}
			return f.recordFile(name, file, info.Size(), file, 0)
		case path.Base(name) == recordNames:
			file, err := files.Open(d.in(name), maxRecordNames)
			if err != nil {
				return err
			}
			defer file.Close()
			return f.recordNames(name, file)
		}
		return nil
	})
}

// folder returns the folder at a path, which it makes.
func (f *finding) folder(name string) (*folder, error) {
	at := &f.root
	if name == "." {
		return at, nil
	}
	if strings.Count(name, "/") >= maxDepth {
		return nil, fmt.Errorf("%s: in more than %d folders", f.dataset.in(name), maxDepth)
	}
	end := 0
	for part := range strings.SplitSeq(name, "/") {
		end += len(part)
		next := at.folders[part]
		if next == nil {
			next = &folder{path: strings.Clone(name[:end])}
			if err := f.dataset.reserveIndex(next.path); err != nil {
				return nil, err
			}
			if at.folders == nil {
				at.folders = map[string]*folder{}
			}
			at.folders[part] = next
		}
		at = next
		end++ // the slash
	}
	return at, nil
}

// picture adds a picture.
func (f *finding) picture(name string, c content) error {
	at, err := f.folder(path.Dir(name))
	if err != nil {
		return err
	}
	if err := f.dataset.reserveIndex(name); err != nil {
		return err
	}
	at.pictures = append(at.pictures, &picture{path: name, content: c})
	return nil
}

// arrangeFolders sets the classes and splits that the folders say.
func (f *finding) arrangeFolders() error {
	d := f.dataset
	// A folder that is all there is says nothing, unless it is a class or train.
	root := &f.root
	for {
		only := root.only()
		if only == nil || path.Base(only.path) == trainName || len(only.folders) == 0 || len(only.pictures) > 0 {
			break
		}
		root = only
	}
	train := root
	if t := root.folders[trainName]; t != nil {
		train = t
	}
	names, pictures, err := f.classes(train)
	if err != nil {
		return err
	}
	d.Classes = names
	d.setSplits(pictures, nil)
	if train == root {
		return nil
	}
	for _, name := range valNames {
		val := root.folders[name]
		if val == nil {
			continue
		}
		valClasses, pictures, err := f.classes(val)
		if err != nil {
			return err
		}
		for _, p := range pictures {
			class := valClasses[p.label]
			i := slices.Index(names, class)
			if i < 0 {
				return fmt.Errorf("%s: a class that is not in %s, whose classes are %s", d.in(path.Join(val.path, class)), d.in(train.path), list(names))
			}
			p.label = int32(i)
		}
		d.Val.pictures = pictures
		break
	}
	return nil
}

// list returns names, of many the first ones.
func list(names []string) string {
	const most = 10
	if len(names) > most {
		return strings.Join(names[:most], ", ") + ", …"
	}
	return strings.Join(names, ", ")
}

// only returns the one folder that is all that f holds, or nil.
func (f *folder) only() *folder {
	if len(f.folders) != 1 || len(f.pictures) > 0 {
		return nil
	}
	for _, only := range f.folders {
		return only
	}
	return nil
}

// classes returns the names of the folders in at, and their pictures with the indices of their names as labels.
func (f *finding) classes(at *folder) (names []string, pictures []*picture, err error) {
	d := f.dataset
	where := d.path
	if at.path != "" {
		where = d.in(at.path)
	}
	switch {
	case len(at.pictures) > 0:
		return nil, nil, fmt.Errorf("%s: a picture that is in no class's folder, expected %s", d.in(at.pictures[0].path), path.Join(at.path, "CLASS", path.Base(at.pictures[0].path)))
	case len(at.folders) == 0:
		return nil, nil, fmt.Errorf("%s: no classes in it, expected a folder of pictures for each, or data_batch_1.bin and so on", where)
	}
	names = slices.Sorted(maps.Keys(at.folders))
	for label, name := range names {
		class := at.folders[name].all(nil)
		if len(class) == 0 {
			return nil, nil, fmt.Errorf("%s: no picture of this class, expected files named %s", d.in(at.folders[name].path), strings.Join(extensions, ", "))
		}
		slices.SortStableFunc(class, func(a, b *picture) int { return cmp.Compare(a.path, b.path) })
		for _, p := range class {
			p.label = int32(label)
		}
		pictures = append(pictures, class...)
	}
	return names, pictures, nil
}

// all appends the pictures in f and in the folders below it to pictures.
func (f *folder) all(pictures []*picture) []*picture {
	pictures = append(pictures, f.pictures...)
	for _, below := range f.folders {
		pictures = below.all(pictures)
	}
	return pictures
}
