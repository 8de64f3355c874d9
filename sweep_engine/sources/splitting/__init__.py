"""`splitting`: a law conditioned on a rare event, fitting, climbed level by level.

A population of particles climbs the acceptance level: the worst are killed, the others cloned
in their place, and all are moved by a Markov move that leaves the law given the level reached
unchanged. ln P(fit) is the sum of ln of the surviving shares.

One move serves all laws, since each is the image of standard normals: an elliptical slice in
a random window of them. It was chosen by measurement. In equal time it takes particles two to
three times as far a level (squared distance) as pCN of all coordinates, on orthants and on a
7-40-40-1 network; reflecting off the gradient of the level gained nothing on that network.
Several angles for one vector of normals are cheap: that network's normals cost five times
its outputs on 16 inputs.

`kernel` makes the same moves where the law is normals, uniform numbers or constants, times scales.
It draws the normals of a move's window alone, and stops at the first angle that is found.

blackjax 1.7.1 at equal numbers of evaluations, 8 repetitions each
(tests/benchmarks/records/splitting_2_cores.json): ln P of the orthant of 32 coordinates,
-22.18, was missed by 0.09 here (root mean square; 0.26 is what the error within a repetition
leads one to expect), by 0.48 with its adaptive tempered SMC on a smoothed level, whose mean
was 0.44 too low, and by 0.35 with its nested slice sampling, whose mean was 0.23 too high. On
a 7-40-40-1 network repetitions differed by 0.38 here and by 0.52 tempered. Nested slice
sampling cannot go there: it factors the covariance of the points, so it needs more points
than parameters. So the engine has its own.
"""
