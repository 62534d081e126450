package graph

// LiveBytes returns the size of the buffers that are in use at the busiest node, for
// one image: no arena can be smaller.
func LiveBytes(m *Model) int64 {
	t, err := m.table()
	if err != nil {
		panic(err)
	}
	return 4 * live(newLayout(t).buffers(m.Input, 1, false, nil), len(t.infos))
}

func live(buffers []*buffer, nodes int) int64 {
	most := int64(0)
	for i := range nodes {
		sum := int64(0)
		for _, b := range buffers {
			if b != nil && b.first <= i && i <= b.last {
				sum += b.size
			}
		}
		most = max(most, sum)
	}
	return most
}
