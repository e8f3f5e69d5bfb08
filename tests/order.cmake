# Which entries start first, and what runs beside them.
#
# A fresh clone has no times of its own, and whatever is long and starts late runs alone in the end: those that want the
# machine for themselves come first, then the long ones (seconds, on two slow cores). What has no line here fills up the
# rest.
set(order
  check.lint 10000 load.relay 9030 load.overload 9020 faults.cluster 9010
  faults.runbook.others 700 faults.runbook.cluster 600 faults.runbook.processes 500 faults.runbook.links 400
  torture.batch 200 it.plans 142 day 112 it.overload 102 bench.smoke 100 faults.run 60 torture.frame 60
  it.faults.killed 52 it.set_aside 45 it.before_auth 12 it.bad_days 44 faults.world 43 it.long_resume 38 it.tls 37
  it.timers.workers 34 it.resume 33 it.rights 28 it.faults.workers 28 faults.minutes_away 175 faults.lost_store 27 check.alerts 26
  unit.gateway.channel 18 it.processes 22 it.meetings 22 it.demo 20 it.lessons 19 it.http_raw 19 it.timers.others 18
  check.release 80 it.faults.others 17 it.stalled 17 it.revocations 16 it.study 15 it.authority 15 it.notice_ways 14 it.complaints 14
  unit.gateway.channel_load 13 unit.gateway.channel_room 12 it.protocol 13 it.tokens 13 unit.workers.store 12 it.openapi 12)
while(order)
  list(POP_FRONT order entry cost)
  if(TEST ${entry}) # a build without some of them has none to order
    set_property(TEST ${entry} PROPERTY COST ${cost})
  endif()
endwhile()

# scripts/test gives ctest three slots a core. What keeps a core busy takes three; what drives processes and waits for
# them two, so that three such run on two cores; a load takes all but the one that lint, which yields, is left with.
include(ProcessorCount)
ProcessorCount(cores)
math(EXPR alone "${cores} * 3 - 1")
if(alone LESS 2)
  set(alone 2)
endif()
get_property(entries DIRECTORY PROPERTY TESTS)
foreach(entry ${entries})
  set(slots 3)
  if(entry STREQUAL check.lint)
    set(slots 1)
  elseif(entry MATCHES "^(load\\.|faults\\.cluster$)")
    set(slots ${alone})
  elseif(entry MATCHES "^(it|faults)\\." AND NOT entry MATCHES "^it\\.(plans|month)$")
    set(slots 2)
  endif()
  set_property(TEST ${entry} PROPERTY PROCESSORS ${slots})
endforeach()
