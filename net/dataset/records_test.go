package dataset

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"math/rand/v2"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"firebench/net/preprocess"
)

// records returns a file of records with these labels and random pictures.
func records(seed uint64, labels ...byte) []byte {
	r := rand.New(rand.NewPCG(seed, 2))
	var b bytes.Buffer
	for _, label := range labels {
		b.WriteByte(label)
		for range recordSize - 1 {
			b.WriteByte(byte(r.Uint32()))
		}
	}
	return b.Bytes()
}

// TestRecords compares files of records with the same pictures as PNG files.
func TestRecords(t *testing.T) {
	files := tree{
		"x/data_batch_1.bin": records(1, 2, 0, 1, 2), "x/data_batch_2.bin": records(2, 0, 0),
		"x/data_batch_10.bin": records(3, 1), "x/test_batch.bin": records(4, 1, 0), "x/readme.html": nil,
		"x/batches.meta.txt": []byte("cat\r\ndog\n\nemu\n\n"),
	}
	// The order of folders is that of the names.
	pictures, n := tree{}, 0
	classes := []string{"cat", "dog", "emu"}
	for _, batch := range []string{"data_batch_1.bin", "data_batch_2.bin", "data_batch_10.bin", "test_batch.bin"} {
		folder := "train"
		if batch == testRecords {
			folder = "test"
		}
		for data := files["x/"+batch]; len(data) > 0; data = data[recordSize:] {
			img := image.NewRGBA(image.Rect(0, 0, 32, 32))
			for i := range 32 * 32 {
				img.Pix[4*i], img.Pix[4*i+1], img.Pix[4*i+2], img.Pix[4*i+3] = data[1+i], data[1+1024+i], data[1+2048+i], 255
			}
			var b bytes.Buffer
			if err := png.Encode(&b, img); err != nil {
				t.Fatal(err)
			}
			pictures[path.Join(folder, classes[data[0]], fmt.Sprintf("%02d.png", n))] = b.Bytes()
			n++
		}
	}
	for _, name := range []string{"cifar-rgb-32", "caffe-bgr-224"} {
		p := preprocessor(t, name)
		plain := open(t, pictures.folder(t), Options{Preprocessor: p})
		for _, at := range files.forms(t) {
			d := open(t, at, Options{Preprocessor: p})
			if strings.Join(d.Classes, " ") != "cat dog emu" || d.Train.Len() != 7 || d.Val.Len() != 2 {
				t.Errorf("%s: classes %q, %d and %d pictures", filepath.Base(at), d.Classes, d.Train.Len(), d.Val.Len())
				continue
			}
			if got, want := filepath.ToSlash(d.Train.Name(5)), "x/data_batch_2.bin: record 2"; !strings.HasSuffix(got, want) {
				t.Errorf("the name of a picture is %s, want %s", got, want)
			}
			for i, s := range []*Split{d.Train, d.Val} {
				// In the order of the files; those of folders are sorted by their classes.
				want := map[string]Batch{}
				for _, b := range rest(t, loader(t, []*Split{plain.Train, plain.Val}[i], LoaderOptions{Batch: 1})) {
					want[path.Base(filepath.ToSlash([]*Split{plain.Train, plain.Val}[i].Name(b.Step)))] = b
				}
				for _, b := range rest(t, loader(t, s, LoaderOptions{Batch: 1})) {
					w := want[fmt.Sprintf("%02d.png", 7*i+b.Step)]
					if b.Labels[0] != w.Labels[0] || !bytes.Equal(b.Input.Memory, w.Input.Memory) {
						t.Errorf("%s with %s: %s is not what the PNG file holds", filepath.Base(at), name, s.Name(b.Step))
					}
				}
			}
		}
	}
}

// TestRecordsHeldOut has neither test_batch.bin nor the classes' names.
func TestRecordsHeldOut(t *testing.T) {
	var labels []byte
	for i := range 40 {
		labels = append(labels, byte(i%10))
	}
	d := open(t, tree{"data_batch_1.bin": records(1, labels...)}.folder(t), Options{})
	if strings.Join(d.Classes, " ") != "airplane automobile bird cat deer dog frog horse ship truck" || d.Train.Len() != 30 || d.Val.Len() != 10 {
		t.Errorf("classes %q, %d and %d pictures", d.Classes, d.Train.Len(), d.Val.Len())
	}
}

func TestRecordsRefused(t *testing.T) {
	names := []byte("a\nb\n")
	for _, test := range []struct {
		tree tree
		want string
	}{
		{tree{"data_batch_1.bin": records(1, 0, 1)[:6000]}, "DIR/data_batch_1.bin: 6000 bytes, expected records of 3073"},
		{tree{"data_batch_1.bin": nil}, "DIR/data_batch_1.bin: 0 bytes, expected records of 3073"},
		{tree{"data_batch_1.bin": records(1, 0, 1, 2), "batches.meta.txt": names}, "DIR/data_batch_1.bin: record 3: label 2, expected 0 to 1"},
		{tree{"data_batch_1.bin": records(1, 0, 10)}, "DIR/data_batch_1.bin: record 2: label 10, expected 0 to 9"},
		{tree{"data_batch_1.bin": records(1, 0, 1), "test_batch.bin": records(1, 9), "batches.meta.txt": names}, "DIR/test_batch.bin: record 1: label 9, expected 0 to 1"},
		{tree{"data_batch_1.bin": records(1, 0, 0), "batches.meta.txt": names}, "DIR: class b has no picture to learn from"},
		{tree{"data_batch_1.bin": records(1, 0, 0), "batches.meta.txt": []byte("a\n")}, "DIR: one class, a, expected at least two"},
		{tree{"test_batch.bin": records(1, 0, 0)}, "DIR: test_batch.bin without data_batch_1.bin, expected pictures to learn from"},
		{tree{"data_batch_1.bin": records(1, 0), "batches.meta.txt": bytes.Repeat([]byte("a\n"), 40000)}, "DIR/batches.meta.txt: more than 65536 bytes"},
	} {
		for _, at := range test.tree.forms(t) {
			want := inForm(at, test.want)
			if _, err := Open(at, Options{Preprocessor: preprocessor(t, "cifar-rgb-32")}); err == nil || err.Error() != want {
				if err != nil && strings.Contains(want, "more than 65536 bytes") && strings.HasSuffix(err.Error(), "80000 bytes, expected at most 65536") {
					continue // a file says how large it is
				}
				t.Errorf("error %v, want %s", err, want)
			}
		}
	}
	twice := tree{"x/data_batch_1.bin": records(1, 0, 1), "y/data_batch_1.bin": records(1, 0, 1), "batches.meta.txt": names}
	at := twice.folder(t)
	want := at + "/y/data_batch_1.bin: a second file of that name, beside " + at + "/x/data_batch_1.bin"
	if _, err := Open(at, Options{Preprocessor: preprocessor(t, "cifar-rgb-32")}); err == nil || filepath.ToSlash(err.Error()) != filepath.ToSlash(want) {
		t.Errorf("error %v, want %s", err, want)
	}
}

// TestBatchNames says which names are those of files of records.
func TestBatchNames(t *testing.T) {
	for name, want := range map[string]int{
		"data_batch_1.bin": 1, "a/b/data_batch_12.bin": 12, "data_batch_01.bin": 0, "data_batch_0.bin": 0, "data_batch_+1.bin": 0,
		"data_batch_1": 0, "data_batch_.bin": 0, "test_batch.bin": 0, "1.bin": 0,
	} {
		if got := batchOf(name); got != want {
			t.Errorf("%s is file %d, want %d", name, got, want)
		}
	}
}

// FuzzRecords opens files of records of any content.
func FuzzRecords(f *testing.F) {
	f.Add([]byte{0, 1}, 0, []byte("a\nb\n"))
	f.Add([]byte{0, 1, 3}, 17, []byte("a\nb\n\nc\n"))
	p, err := preprocess.Lookup("cifar-rgb-32")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, labels []byte, cut int, names []byte) {
		if len(labels) > 20 {
			return
		}
		data := records(1, labels...)
		data = data[:max(0, len(data)-max(0, cut))]
		exercise(t, tree{"data_batch_1.bin": data, "batches.meta.txt": names}.folder(t), p)
		exercise(t, write(t, "a.tar", tree{"data_batch_1.bin": data, "batches.meta.txt": names}.tar()), p)
	})
}
