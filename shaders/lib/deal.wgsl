// Which place of the list a workgroup takes, for kernels with one workgroup per row: places are dealt to the lines of the
// grid in turns. Some drivers give each processor one stretch of the grid; so every stretch has its share of the live rows,
// which are always the first ones.

fn place_of(group: vec3<u32>, grid: vec3<u32>) -> u32 {
    return group.x * grid.y + group.y;
}
