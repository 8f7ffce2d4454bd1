// The script of the studio: Gradio runs it once for each component.
import { guardServer } from '../gradio.ts';
import { connectStudio } from './connect.ts';

connectStudio({ element, props, server: guardServer(server), trigger, watch });
