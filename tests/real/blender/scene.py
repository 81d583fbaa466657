"""Blender's own default scene, by Cycles on the CPU: blender --background --python scene.py -- FILE SAMPLES"""

import sys

import bpy

file, samples = sys.argv[sys.argv.index("--") + 1 :]
scene = bpy.context.scene
scene.render.engine = "CYCLES"
scene.cycles.device = "CPU"
scene.cycles.samples = int(samples)
# So that the time it takes is that of its samples.
scene.cycles.use_adaptive_sampling = False
scene.cycles.use_denoising = False
scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = 320, 240, 100
scene.render.use_file_extension = False
scene.render.filepath = file
bpy.ops.render.render(write_still=True)
