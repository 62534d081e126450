package dataset

import (
	"archive/tar"
	"bytes"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"firebench/net/preprocess"
)

// TestLayouts opens trees as folders and archives, and lists what is in their splits.
func TestLayouts(t *testing.T) {
	deep := strings.Repeat("d/", maxDepth) + "d"
	for _, test := range []struct {
		name       string
		tree       tree
		classes    string
		train, val string
		err        string // with DIR/ for what names the tree
	}{
		{name: "train and val", tree: named("train/b/1.jpg", "train/b/2.png", "train/a/3.GIF", "val/b/4.jpeg", "val/a/5.JPG"),
			classes: "a b", train: "a/3.GIF b/1.jpg b/2.png", val: "a/5.JPG b/4.jpeg"},
		{name: "test", tree: named("train/b/1.jpg", "train/a/3.jpg", "test/b/4.jpg", "README"),
			classes: "a b", train: "a/3.jpg b/1.jpg", val: "b/4.jpg"},
		{name: "val before test", tree: named("train/b/1.jpg", "train/a/3.jpg", "test/b/4.jpg", "validation/a/5.jpg"),
			classes: "a b", train: "a/3.jpg b/1.jpg", val: "a/5.jpg"},
		{name: "in folders", tree: named("x/y/train/b/1.jpg", "x/y/train/a/3.jpg", "x/y/test/b/4.jpg", "x/notes.txt"),
			classes: "a b", train: "a/3.jpg b/1.jpg", val: "b/4.jpg"},
		{name: "classes alone", tree: named("x/b/1.jpg", "x/b/2.jpg", "x/b/3.jpg", "x/a/1.jpg", "x/a/2.jpg"),
			classes: "a b", train: "a/1.jpg b/1.jpg b/2.jpg", val: "a/2.jpg b/3.jpg"},
		{name: "train alone", tree: named("train/b/1.jpg", "train/b/2.jpg", "train/b/3.jpg", "train/a/1.jpg", "train/a/2.jpg"),
			classes: "a b", train: "a/1.jpg b/1.jpg b/2.jpg", val: "a/2.jpg b/3.jpg"},
		{name: "folders in a class", tree: named("train/b/x/1.jpg", "train/b/0.jpg", "train/a/3.jpg", "val/b/4.jpg"),
			classes: "a b", train: "a/3.jpg b/0.jpg x/1.jpg", val: "b/4.jpg"},
		{name: "hidden", tree: named("train/b/1.jpg", "train/b/._1.jpg", "train/.git/2.jpg", "train/a/3.jpg", "val/b/4.jpg", "__MACOSX/train/c/5.jpg", ".x/6.jpg"),
			classes: "a b", train: "a/3.jpg b/1.jpg", val: "b/4.jpg"},
		{name: "one class", tree: named("only/1.jpg", "only/2.jpg"), err: "DIR: one class, only, expected at least two"},
		{name: "one class to learn from", tree: named("train/only/1.jpg", "val/only/2.jpg"), err: "DIR: one class, only, expected at least two"},
		{name: "one class of folders", tree: named("train/only/x/1.jpg", "train/only/y/2.jpg"), err: "DIR: one class, only, expected at least two"},
		{name: "no class", tree: named("2.jpg"), err: "DIR/2.jpg: a picture that is in no class's folder, expected CLASS/2.jpg"},
		{name: "picture beside classes", tree: named("train/a/1.jpg", "train/b/1.jpg", "train/x.jpg"), err: "DIR/train/x.jpg: a picture that is in no class's folder, expected train/CLASS/x.jpg"},
		{name: "nothing", tree: named("README"), err: "DIR: no classes in it, expected a folder of pictures for each, or data_batch_1.bin and so on"},
		{name: "nothing to learn from", tree: named("train/", "val/a/1.jpg"), err: "DIR/train: no classes in it, expected a folder of pictures for each, or data_batch_1.bin and so on"},
		{name: "empty class", tree: named("train/a/1.jpg", "train/b/", "train/c/1.jpg"), err: "DIR/train/b: no picture of this class, expected files named .jpg, .jpeg, .png, .gif"},
		{name: "empty class to validate with", tree: named("train/a/1.jpg", "train/b/1.jpg", "val/a/1.jpg", "val/b/"), err: "DIR/val/b: no picture of this class, expected files named .jpg, .jpeg, .png, .gif"},
		{name: "class of val alone", tree: named("train/a/1.jpg", "train/b/1.jpg", "val/c/1.jpg"), err: "DIR/val/c: a class that is not in DIR/train, whose classes are a, b"},
		{name: "one picture to hold out", tree: named("a/1.jpg", "b/1.jpg", "b/2.jpg"), err: "DIR: class a has one picture, expected at least two, of which one is held out for validation"},
		{name: "deep", tree: named(deep + "/1.png"), err: "DIR/" + deep + ": in more than 32 folders"},
	} {
		for _, at := range test.tree.forms(t) {
			d, err := Open(at, Options{Preprocessor: preprocessor(t, "cifar-rgb-32"), Seed: 3})
			if test.err != "" {
				want := inForm(at, test.err)
				if err == nil || err.Error() != want {
					t.Errorf("%s: %s: error %v, want %s", test.name, filepath.Base(at), err, want)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s: %s: %v", test.name, filepath.Base(at), err)
				continue
			}
			if got := strings.Join(d.Classes, " "); got != test.classes {
				t.Errorf("%s: classes %s, want %s", test.name, got, test.classes)
			}
			for _, split := range []struct {
				*Split
				want string
			}{{d.Train, test.train}, {d.Val, test.val}} {
				var got []string
				for i := range split.Len() {
					name := filepath.ToSlash(split.Name(i))
					got = append(got, path.Join(path.Base(path.Dir(name)), path.Base(name)))
					if label := "/" + d.Classes[split.Label(i)] + "/"; !strings.Contains(name, label) {
						t.Errorf("%s: %s has label %d, of class %s", test.name, name, split.Label(i), d.Classes[split.Label(i)])
					}
				}
				if strings.Join(got, " ") != split.want {
					t.Errorf("%s: %s: pictures %q, want %q", test.name, filepath.Base(at), got, split.want)
				}
			}
			d.Close()
		}
	}
}

// inForm returns an error's text for a path.
func inForm(at, text string) string {
	if info, err := os.Stat(at); err == nil && info.IsDir() {
		text = strings.ReplaceAll(text, "DIR/", at+string(filepath.Separator))
		// Paths in the folder, but not what is expected.
		head, tail, _ := strings.Cut(text, ": ")
		if i := strings.Index(tail, at); i >= 0 {
			j := strings.Index(tail[i:], ",")
			tail = tail[:i] + filepath.FromSlash(tail[i:i+j]) + tail[i+j:]
		}
		return strings.ReplaceAll(filepath.FromSlash(head)+": "+tail, "DIR", at)
	}
	return strings.ReplaceAll(strings.ReplaceAll(text, "DIR/", at+": "), "DIR", at)
}

// TestHeldOut holds out other shares with other seeds.
func TestHeldOut(t *testing.T) {
	tr := tree{}
	for _, class := range []string{"a", "b"} {
		for i := range 20 {
			tr[path.Join(class, string(rune('a'+i))+".jpg")] = nil
		}
	}
	dir := tr.folder(t)
	held := func(share float64, seed uint64) string {
		d := open(t, dir, Options{HeldOut: share, Seed: seed})
		if d.Train.Len()+d.Val.Len() != 40 {
			t.Errorf("%d and %d pictures, want 40 together", d.Train.Len(), d.Val.Len())
		}
		var names []string
		for i := range d.Val.Len() {
			names = append(names, d.Val.Name(i))
			for j := range d.Train.Len() {
				if d.Train.Name(j) == names[i] {
					t.Errorf("%s is in both splits", names[i])
				}
			}
		}
		return strings.Join(names, " ")
	}
	for _, test := range []struct {
		share float64
		want  int
	}{{0, 4}, {0.1, 4}, {0.25, 10}, {0.001, 2}, {0.999, 38}} {
		if got := len(strings.Fields(held(test.share, 1))); got != test.want {
			t.Errorf("a share of %g: %d pictures are held out, want %d", test.share, got, test.want)
		}
	}
	if again := held(0.25, 1); again != held(0.25, 1) || again == held(0.25, 2) {
		t.Error("the seed does not say what is held out")
	}
}

func TestOpenRefuses(t *testing.T) {
	p := preprocessor(t, "cifar-rgb-32")
	text, empty := write(t, "a.txt", []byte("This is no archive of pictures.\n")), write(t, "b.tar", nil)
	short := write(t, "c.tar.gz", []byte("\x1f\x8b\x08"))
	for _, test := range []struct {
		path string
		o    Options
		want string
	}{
		{text, Options{}, "dataset: no preprocessor"},
		{text, Options{Preprocessor: p, HeldOut: 1}, "dataset: a share of 1 is held out, expected at least 0 and less than 1"},
		{text, Options{Preprocessor: p, Memory: -1}, "dataset: -1 bytes of memory"},
		{text, Options{Preprocessor: p}, text + ": expected a folder or an archive, tar or tar.gz"},
		{empty, Options{Preprocessor: p}, empty + ": expected a folder or an archive, tar or tar.gz"},
		{short, Options{Preprocessor: p}, short + ": unexpected EOF"},
		{os.DevNull, Options{Preprocessor: p}, os.DevNull + ": is a device, expected a regular file"},
	} {
		if test.path == os.DevNull && runtime.GOOS == "windows" {
			continue
		}
		if _, err := Open(test.path, test.o); err == nil || err.Error() != test.want {
			t.Errorf("error %v, want %s", err, test.want)
		}
	}
}

func TestSymbolicLinks(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("symbolic links need a privilege")
	}
	picture := noise(32, 32, 1)
	dir := tree{"a/1.png": picture, "a/2.png": picture, "b/1.png": picture}.folder(t)
	if err := os.Symlink(filepath.Join(dir, "a", "1.png"), filepath.Join(dir, "b", "2.png")); err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(t.TempDir(), "root")
	if err := os.Symlink(dir, root); err != nil {
		t.Fatal(err)
	}
	d := open(t, root, Options{})
	if d.Train.Len() != 2 || d.Val.Len() != 2 {
		t.Errorf("%d and %d pictures, want 2 each", d.Train.Len(), d.Val.Len())
	}
	link := filepath.Join(dir, "c")
	if err := os.Symlink(filepath.Join(dir, "a"), link); err != nil {
		t.Fatal(err)
	}
	want := link + ": is a symbolic link to a folder, which is not followed"
	if _, err := Open(dir, Options{Preprocessor: d.preprocessor}); err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

// TestHostileArchives opens archives that are damaged, or lie.
func TestHostileArchives(t *testing.T) {
	picture := noise(32, 32, 1)
	tr := tree{"train/a/1.png": picture, "train/b/1.png": picture, "val/a/1.png": picture}
	whole := tr.tar()
	second := 512 + (len(picture)+511)/512*512 // its header
	damaged := bytes.Clone(whole)
	damaged[second] ^= 1
	regular := func(name string) tar.Header {
		return tar.Header{Name: name, Typeflag: tar.TypeReg, Size: int64(len(picture)), Mode: 0o666}
	}
	outside := archive(tree{"train/../../x.png": picture}, regular("train/../../x.png"))
	// Of the size there are the first bytes only.
	huge := archive(nil, tar.Header{Name: "train/a/1.png", Typeflag: tar.TypeReg, Mode: 0o666})
	setSize(huge, MaxPicture)
	for _, test := range []struct {
		name string
		data []byte
		want string
	}{
		{"cut in a header", whole[:second+300], "ARCHIVE: damaged or truncated behind val/a/1.png: unexpected EOF"},
		{"cut in a file", whole[:600], "ARCHIVE: damaged or truncated behind val/a/1.png: unexpected EOF"},
		{"damaged header", damaged, "ARCHIVE: damaged or truncated behind val/a/1.png: archive/tar: invalid tar header"},
		{"outside", outside, `ARCHIVE: contains "train/../../x.png", expected a path within the archive`},
		{"huge", huge, "ARCHIVE: damaged or truncated behind train/a/1.png: unexpected EOF"},
		{"records", archive(tree{}, tar.Header{Name: "data_batch_1.bin", Typeflag: tar.TypeLink, Linkname: "/dev/zero"}), "ARCHIVE: data_batch_1.bin: a link, a sparse file or a device, expected a regular file"},
	} {
		for _, at := range []string{write(t, "a.tar", test.data), write(t, "a.tar.gz", zipped(test.data))} {
			want := strings.ReplaceAll(test.want, "ARCHIVE", at)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := Open(at, Options{Preprocessor: preprocessor(t, "cifar-rgb-32")})
			runtime.ReadMemStats(&after)
			if err == nil || err.Error() != want {
				t.Errorf("%s: error %v, want %s", test.name, err, want)
			}
			if took := after.TotalAlloc - before.TotalAlloc; took > 16<<20 {
				t.Errorf("%s: took %d bytes", test.name, took)
			}
		}
	}

	// A damaged end of the compressed data behind the last file.
	damaged = zipped(whole)
	damaged[len(damaged)-6] ^= 1
	at := write(t, "a.tar.gz", damaged)
	if _, err := Open(at, Options{Preprocessor: preprocessor(t, "cifar-rgb-32")}); err == nil || err.Error() != at+": gzip: invalid checksum" {
		t.Errorf("error %v, want one of the checksum", err)
	}

	// A picture of more bytes than one may have, which are on no disk.
	large := archive(tree{"train/a/1.png": picture, "train/b/1.png": picture}, regular("train/a/1.png"), regular("train/b/1.png"), tar.Header{Name: "val/a/1.png", Typeflag: tar.TypeReg})
	large = large[:len(large)-1024]
	setSize(large[len(large)-512:], MaxPicture+512)
	at = write(t, "c.tar", large)
	if err := os.Truncate(at, int64(len(large))+MaxPicture+512); err != nil {
		t.Fatal(err)
	}
	b := next(t, loader(t, open(t, at, Options{}).Val, LoaderOptions{Batch: 8}))
	if want := at + ": val/a/1.png: 134218240 bytes, expected at most 134217728"; len(b.Labels) > 0 || len(b.Skipped) != 1 || b.Skipped[0].Error() != want {
		t.Errorf("%d pictures and errors %v, want %s", len(b.Labels), b.Skipped, want)
	}

	// What is no regular file is a picture that cannot be read.
	odd := archive(tr, regular("train/a/1.png"), regular("train/b/1.png"), regular("val/a/1.png"),
		tar.Header{Name: "val/a/2.png", Typeflag: tar.TypeSymlink, Linkname: "1.png"},
		tar.Header{Name: "val/b/3.png", Typeflag: tar.TypeFifo},
		tar.Header{Name: "val/b/README", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"})
	at = write(t, "d.tar", odd)
	b = next(t, loader(t, open(t, at, Options{}).Val, LoaderOptions{Batch: 8}))
	if len(b.Labels) != 1 || len(b.Skipped) != 2 || b.Skipped[1].Error() != at+": val/b/3.png: a link, a sparse file or a device, expected a regular file" {
		t.Errorf("labels %v and errors %v", b.Labels, b.Skipped)
	}
}

// TestBomb opens an archive that is far more without compression.
func TestBomb(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a while")
	}
	bomb := archive(nil, tar.Header{Name: "notes.txt", Typeflag: tar.TypeReg, Mode: 0o666})
	setSize(bomb, 1<<32)
	// Of streams that follow each other the content does, too.
	data := slices.Concat(zipped(bomb[:512]), bytes.Repeat(zipped(make([]byte, 1<<20)), 100))
	at := write(t, "a.tar.gz", data)
	want := at + ": damaged or truncated behind notes.txt: more than 100 times as large without compression"
	if _, err := Open(at, Options{Preprocessor: preprocessor(t, "cifar-rgb-32")}); err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

// setSize writes a size to the first header of an archive, and the checksum.
func setSize(data []byte, size int64) {
	field := data[124:136]
	for i := range 11 {
		field[10-i] = '0' + byte(size>>(3*i)&7)
	}
	sum := 0
	for i, b := range data[:512] {
		if i >= 148 && i < 156 {
			b = ' '
		}
		sum += int(b)
	}
	for i := range 6 {
		data[148+5-i] = '0' + byte(sum>>(3*i)&7)
	}
	data[154], data[155] = 0, ' '
}

// TestMemory opens archives that are too large for the memory.
func TestMemory(t *testing.T) {
	tr := tree{}
	for i := range 40 {
		tr[path.Join("train", string(rune('a'+i%2)), string(rune('A'+i))+".png")] = noise(32, 32, uint64(i))
	}
	at := write(t, "a.tar.gz", zipped(tr.tar()))
	p := preprocessor(t, "cifar-rgb-32")
	for _, test := range []struct {
		memory int64
		want   string
	}{
		{1 << 20, ""},
		{100 << 10, at + ": its pictures take more than 0 MB, which is what pictures may take: allow more, or unpack the archive"},
		{1 << 10, at + ": the names of its pictures alone take more than 0 MB, which is what pictures may take"},
	} {
		if test.memory == 1<<10 {
			at = write(t, "b.tar", tr.tar())
			test.want = at + strings.TrimPrefix(test.want, test.want[:strings.Index(test.want, ": the names")])
		}
		d, err := Open(at, Options{Preprocessor: p, Memory: test.memory})
		switch {
		case test.want != "":
			if err == nil || err.Error() != test.want {
				t.Errorf("with %d bytes: error %v, want %s", test.memory, err, test.want)
			}
		case err != nil:
			t.Error(err)
		default:
			d.Close()
		}
	}
}

// FuzzArchive opens archives of any content, and reads what is in them.
func FuzzArchive(f *testing.F) {
	tiny := noise(8, 8, 1)
	small := tree{"train/a/1.png": tiny, "train/b/1.gif": []byte("GIF8"), "val/a/1.png": tiny}.tar()
	f.Add(small)
	f.Add(zipped(small))
	f.Add(tree{"data_batch_1.bin": nil, "batches.meta.txt": []byte("a\nb\n")}.tar())
	p, err := preprocess.Lookup("cifar-rgb-32")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		exercise(t, write(t, "a", data), p)
	})
}

// exercise reads all pictures of a data set that may be damaged.
func exercise(t *testing.T, at string, p *preprocess.Preprocessor) {
	d, err := Open(at, Options{Preprocessor: p, Memory: 4 << 20})
	if err != nil {
		if !strings.HasPrefix(err.Error(), at) {
			t.Errorf("error %v does not name the file", err)
		}
		return
	}
	defer d.Close()
	if len(d.Classes) < 2 {
		t.Errorf("classes %q", d.Classes)
	}
	for _, s := range []*Split{d.Train, d.Val} {
		l := loader(t, s, LoaderOptions{Batch: 4, Threads: 2})
		pictures, skipped := 0, 0
		for _, b := range rest(t, l) {
			pictures, skipped = pictures+len(b.Labels), skipped+len(b.Skipped)
			for _, label := range b.Labels {
				if label < 0 || label >= len(d.Classes) {
					t.Errorf("label %d of %d classes", label, len(d.Classes))
				}
			}
		}
		if pictures+skipped != s.Len() {
			t.Errorf("%d pictures, %d skipped, want %d together", pictures, skipped, s.Len())
		}
		l.Close()
	}
	if d.Memory() > 4<<20 {
		t.Errorf("%d bytes of memory", d.Memory())
	}
}

// TestPart: a part of a data set is its first classes and their first pictures.
func TestPart(t *testing.T) {
	var paths []string
	for _, split := range []string{"train", "val"} {
		for _, class := range []string{"a", "b", "c"} {
			for i := range 4 {
				paths = append(paths, fmt.Sprintf("%s/%s/%d.png", split, class, i))
			}
		}
	}
	dir := named(paths...).folder(t)
	count := func(o Options) (classes, train, val int) {
		d := open(t, dir, o)
		for _, s := range []*Split{d.Train, d.Val} {
			for i := range s.Len() {
				if name := s.Name(i); !strings.Contains(name, string(filepath.Separator)+d.Classes[s.Label(i)]+string(filepath.Separator)) {
					t.Errorf("%s has the label of %s", name, d.Classes[s.Label(i)])
				}
			}
		}
		return len(d.Classes), d.Train.Len(), d.Val.Len()
	}
	for _, test := range []struct {
		o                   Options
		classes, train, val int
	}{
		{Options{}, 3, 12, 12},
		{Options{Classes: 2}, 2, 8, 8},
		{Options{Classes: 9, Pictures: 3}, 3, 9, 12},
		{Options{Classes: 2, Pictures: 9, ValPictures: 1}, 2, 8, 2},
	} {
		if classes, train, val := count(test.o); classes != test.classes || train != test.train || val != test.val {
			t.Errorf("%+v: %d classes, %d and %d pictures, expected %d, %d and %d", test.o, classes, train, val, test.classes, test.train, test.val)
		}
	}
	for _, o := range []Options{{Classes: 1}, {Classes: -1}, {Pictures: -1}, {ValPictures: -1}} {
		o.Preprocessor = preprocessor(t, "cifar-rgb-32")
		if _, err := Open(dir, o); err == nil || !strings.Contains(err.Error(), "expected at least two") {
			t.Errorf("%+v: %v", o, err)
		}
	}
}
