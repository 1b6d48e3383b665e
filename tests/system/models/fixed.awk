#!/usr/bin/awk -f
# A model that proposes the same whatever was measured: the n-th proposal is the n-th of some 170 schedules of a matrix product. For comparisons of how fast the same evaluations are made, and of what they come to.
# The third is a good one. In the others too few sums go on at a time, so that each takes twice as long or more, which the fewest blocks of a measurement show: a near tie takes as long as the noise wants, and is led by either.
# On one thread: what several make together depends on what else the host does.
#
# Usage: awk -f fixed.awk, the prompt on stdin. The answer is a schedule for the generator. In awk, since it is started once for each proposal and should cost next to nothing.
BEGIN { count = split("1 16,1 32,1 64,2 16,2 32,3 16", blocks, ",") }
/This is proposal [0-9]+/ { match($0, /This is proposal [0-9]+/); number = substr($0, RSTART + 17, RLENGTH - 17) + 0 }
/That cannot be taken:/ { ++step }
END {
  split(number == 3 ? "6 64" : blocks[1 + number % count], block)
  rows = int(number / count + step) % 28
  printf "IDEA: version %d\n```schedule\nfuse(*); rows(*); vectorize(*, width=16); accumulators(*, n=4); register_block(out, m=%d, n=%d)%s\n```\n", number, block[1], block[2], \
         rows ? sprintf("; cache_block(out, mc=%d)", block[1] * 4 * rows) : ""
}
