"""What the dashboard of a scheduler shows of verified jobs.

`summary` says what a coordinator may tell a scheduler, and `publisher` tells it, in the
coordinator's process. In the scheduler's, `noticeboard` keeps what it is told, `facts` joins that
with what the scheduler sees itself, and `installing`, `metrics` and `page` show it. Bokeh is
imported on schedulers with a dashboard only.
"""
