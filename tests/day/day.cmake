# A whole day over all domains while workers are killed; scripts/day plays others.
yz_pytest(day integration 300 ${CMAKE_CURRENT_LIST_DIR}/test_day.py)
