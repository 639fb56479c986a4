// The client of etcd that the comparison uses: closed loops of puts, and how long nobody could put after a kill.
//
//	etcd_client load ENDPOINT CLIENTS CONNECTIONS SECONDS BYTES
//	etcd_client outage ENDPOINTS PID
//
// Both print one line of JSON. It is compiled, so that what it takes from the machine's cores is little.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"go.etcd.io/etcd/clientv3"
)

const warm = time.Second

func number(text string) int {
	value, err := strconv.Atoi(text)
	if err != nil {
		panic(err)
	}
	return value
}

func connect(endpoints []string) *clientv3.Client {
	client, err := clientv3.New(clientv3.Config{Endpoints: endpoints, DialTimeout: 5 * time.Second})
	if err != nil {
		panic(err)
	}
	return client
}

// put tells how long one write took, and whether it was decided.
func put(client *clientv3.Client, key, value string, patience time.Duration) (time.Duration, bool) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	began := time.Now()
	_, err := client.Put(ctx, key, value)
	return time.Since(began), err == nil
}

func load(endpoint string, clients, connections int, seconds, size int) map[string]interface{} {
	shared := make([]*clientv3.Client, connections)
	for i := range shared {
		shared[i] = connect([]string{endpoint})
	}
	value := strings.Repeat("x", size)
	begin := time.Now().Add(warm)
	end := begin.Add(time.Duration(seconds) * time.Second)
	var mutex sync.Mutex
	var all []time.Duration
	failed := 0
	var running sync.WaitGroup
	for i := 0; i < clients; i++ {
		running.Add(1)
		go func(i int) {
			defer running.Done()
			keys := rand.New(rand.NewSource(int64(i)))
			var taken []time.Duration
			lost := 0
			for {
				now := time.Now()
				if now.After(end) {
					break
				}
				key := fmt.Sprintf("k%06d", keys.Intn(100000))
				each, done := put(shared[i%connections], key, value, 10*time.Second)
				if !done {
					lost++
				} else if now.After(begin) && now.Add(each).Before(end) {
					taken = append(taken, each)
				}
			}
			mutex.Lock()
			all = append(all, taken...)
			failed += lost
			mutex.Unlock()
		}(i)
	}
	running.Wait()
	found := map[string]interface{}{"clients": clients, "rate": 0.0, "p50_ms": 0.0, "p99_ms": 0.0, "failed": failed}
	if n := len(all); n > 0 {
		sort.Slice(all, func(i, j int) bool { return all[i] < all[j] })
		found["rate"] = float64(n) / float64(seconds)
		found["p50_ms"] = all[n/2].Seconds() * 1000
		found["p99_ms"] = all[n*99/100].Seconds() * 1000
	}
	return found
}

// outage kills a process and tells how long it took until a put succeeded: one is begun every few milliseconds.
func outage(endpoints []string, pid int) map[string]interface{} {
	client := connect(endpoints)
	if _, done := put(client, "before", "1", 5*time.Second); !done {
		panic("nobody takes a write before the kill")
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		panic(err)
	}
	killed := time.Now()
	first := make(chan time.Time, 1)
	for time.Since(killed) < 30*time.Second {
		go func() {
			if _, done := put(client, "after", "1", 100*time.Millisecond); done {
				select {
				case first <- time.Now():
				default:
				}
			}
		}()
		select {
		case at := <-first:
			return map[string]interface{}{"outage_ms": at.Sub(killed).Seconds() * 1000}
		case <-time.After(5 * time.Millisecond):
		}
	}
	return map[string]interface{}{"outage_ms": nil}
}

func main() {
	var found map[string]interface{}
	switch os.Args[1] {
	case "load":
		a := os.Args[2:]
		found = load(a[0], number(a[1]), number(a[2]), number(a[3]), number(a[4]))
	case "outage":
		found = outage(strings.Split(os.Args[2], ","), number(os.Args[3]))
	default:
		panic("load or outage")
	}
	if err := json.NewEncoder(os.Stdout).Encode(found); err != nil {
		panic(err)
	}
}
